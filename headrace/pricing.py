"""What a service that is paid by the task charges for a month: its tiers, and what lies beyond them.

Amounts are in US dollars, exact to the cent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

TASKS_MAX = 10**12
USD_MAX = 10**9
CENT = Decimal("0.01")

# Through its text: the number that is written in the file, not the nearest binary fraction.
Number = Annotated[Decimal, BeforeValidator(lambda value: str(value) if isinstance(value, int | float) else value)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9 _-]{0,40}$")]


class Tier(BaseModel):
    """So many tasks a month for so many dollars a month."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tasks: Annotated[int, Field(gt=0, le=TASKS_MAX, strict=True)]
    usd: Annotated[Number, Field(gt=0, le=USD_MAX, decimal_places=2)]


class Pricing(BaseModel):
    """The dated table of a service's prices."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    service: Name
    date: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    source: Annotated[str, Field(min_length=1, max_length=300)]
    overage_factor: Annotated[Number, Field(ge=1, le=100)]
    tasks_factor_max: Annotated[Number, Field(ge=1, le=100)]
    plans: Annotated[Mapping[Name, tuple[Tier, ...]], Field(min_length=1)]

    @field_validator("plans")
    @classmethod
    def _tiers_rise(cls, plans: Mapping[str, tuple[Tier, ...]]) -> Mapping[str, tuple[Tier, ...]]:
        for plan, tiers in plans.items():
            if not tiers:
                raise ValueError(f"the plan {plan} has no tier")
            for smaller, larger in pairwise(tiers):
                if larger.tasks <= smaller.tasks or larger.usd <= smaller.usd:
                    raise ValueError(
                        f"the tiers of {plan} must rise in tasks and usd: {larger.tasks} tasks for {larger.usd} follow"
                        f" {smaller.tasks} for {smaller.usd}"
                    )
        return plans


@dataclass(frozen=True, slots=True)
class Price:
    """The cheapest way to have ``tasks`` tasks in a month on a plan."""

    plan: str
    tasks: int
    tier: Tier
    overage_tasks: int
    overage_usd: Decimal

    @property
    def total_usd(self) -> Decimal:
        """Tier and overage together."""
        return self.tier.usd + self.overage_usd


def cheapest(pricing: Pricing, plan: str, tasks: int) -> Price | None:
    """Return the cheapest tier for ``tasks`` tasks a month, overage included; ``None`` beyond what the plan sells."""
    prices = [price for tier in pricing.plans[plan] if (price := _at(pricing, plan, tier, tasks)) is not None]
    # Of two that cost the same, the larger tier: it has room.
    return min(prices, key=lambda price: (price.total_usd, -price.tier.tasks), default=None)


def parse_usd(text: str) -> Decimal:
    """Return an amount such as ``24`` or ``24.50``; raises `ValueError` saying what it may be."""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,2})?", text.strip(), re.ASCII):
        raise ValueError(f"{text[:40]!r} is no amount of dollars such as 24 or 24.50")
    return Decimal(text.strip())


def tasks_max(pricing: Pricing, plan: str) -> int:
    """Return how many tasks a month the plan sells at most, overage included."""
    return max(_tasks_max(pricing, tier) for tier in pricing.plans[plan])


def break_even(pricing: Pricing, plan: str, server_usd: Decimal) -> int | None:
    """Return the fewest tasks a month for which the service charges more than ``server_usd``.

    ``None``: it charges less for all that the plan sells.
    """
    low, high = 0, tasks_max(pricing, plan)
    if not _charges_more(pricing, plan, high, server_usd):
        return None
    while low < high:  # the price never falls with the tasks
        middle = (low + high) // 2
        if _charges_more(pricing, plan, middle, server_usd):
            high = middle
        else:
            low = middle + 1
    return low


def _charges_more(pricing: Pricing, plan: str, tasks: int, server_usd: Decimal) -> bool:
    price = cheapest(pricing, plan, tasks)
    return price is None or price.total_usd > server_usd


def _at(pricing: Pricing, plan: str, tier: Tier, tasks: int) -> Price | None:
    if tasks > _tasks_max(pricing, tier):
        return None
    overage_tasks = max(0, tasks - tier.tasks)
    overage_usd = overage_tasks * tier.usd * pricing.overage_factor / tier.tasks
    return Price(plan, tasks, tier, overage_tasks, overage_usd.quantize(CENT, ROUND_HALF_UP))


def _tasks_max(pricing: Pricing, tier: Tier) -> int:
    return int(tier.tasks * pricing.tasks_factor_max)
