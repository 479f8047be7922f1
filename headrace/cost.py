"""What a month of this work costs: at a service that is paid by the task, and here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from headrace.part_use import PartUse, cpu_s_per_task
from headrace.pricing import Pricing, break_even, cheapest, tasks_max
from streams.event import format_time
from streams.tasks import EventCount, TaskCount

DAY_MS = 24 * 3600 * 1000
MONTH_DAYS = 30
MONTH_DAYS_MIN, MONTH_DAYS_MAX = 28, 31  # a window of so many days is a month as it is
SEEN_SHARE_MIN = 0.9
SEEN_MS_MIN = 3600 * 1000  # less is taken for an hour: a minute's pace says nothing of a month's
USED_SHARE = 0.7  # of the processors: the rest is for peaks


@dataclass(frozen=True, slots=True)
class Pace:
    """How much of the window was seen, and by what its tasks are multiplied to be a month's."""

    window_days: float
    seen_days: float
    factor: float

    @property
    def scaled(self) -> bool:
        """Whether the month is an estimate."""
        return self.factor != 1


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything that was looked at; ``parts`` has the answer of each admin page, or why there is none."""

    since_ms: int
    until_ms: int
    tasks: TaskCount
    events: EventCount
    parts: Mapping[str, PartUse | str]
    cores: int
    retention_s: int  # of outcomes


def pace(tasks: TaskCount, *, since_ms: int, until_ms: int) -> Pace:
    """Return the pace of a window.

    What the log goes back to before the window was seen whole, however quiet it began. Otherwise it was seen from its
    first outcome on.
    """
    window_ms = until_ms - since_ms
    first_ms = until_ms if tasks.first_ms is None else tasks.first_ms
    seen_ms = window_ms if tasks.whole else min(window_ms, max(until_ms - first_ms, SEEN_MS_MIN))
    window_days, seen_days = window_ms / DAY_MS, seen_ms / DAY_MS
    is_a_month = MONTH_DAYS_MIN <= window_days <= MONTH_DAYS_MAX and seen_ms >= SEEN_SHARE_MIN * window_ms
    return Pace(window_days, seen_days, 1.0 if is_a_month or not tasks.tasks else MONTH_DAYS / seen_days)


def report(measured: Measured, pricing: Pricing, server_usd: Decimal | None) -> dict[str, Any]:
    """Return the whole answer, as JSON shows it. Amounts are US dollars; what is not known is ``None``."""
    tasks, counted = measured.tasks.tasks, measured.tasks
    pace_ = pace(counted, since_ms=measured.since_ms, until_ms=measured.until_ms)
    tasks_month = round(tasks * pace_.factor)
    return {
        "since": format_time(measured.since_ms),
        "until": format_time(measured.until_ms),
        "window_days": round(pace_.window_days, 2),
        "seen_days": round(pace_.seen_days, 2),
        "events": measured.events.events,
        "tasks": tasks,
        "routes": dict(counted.by_route.most_common()),
        "not_counted": dict(counted.not_counted.most_common()),
        "scaled": pace_.scaled,
        "tasks_month": tasks_month,
        "zapier": {
            "date": pricing.date,
            "source": pricing.source,
            "plans": [_plan(pricing, plan, tasks_month, server_usd) for plan in pricing.plans],
        },
        "deployment": _deployment(measured, tasks_month, server_usd),
        "notes": _notes(measured, pace_),
    }


def _plan(pricing: Pricing, plan: str, tasks_month: int, server_usd: Decimal | None) -> dict[str, Any]:
    price = cheapest(pricing, plan, tasks_month)
    return {
        "plan": plan,
        "tier_tasks": price.tier.tasks if price else None,
        "tier_usd": float(price.tier.usd) if price else None,
        "overage_tasks": price.overage_tasks if price else None,
        "overage_usd": float(price.overage_usd) if price else None,
        "total_usd": float(price.total_usd) if price else None,
        "tasks_max": tasks_max(pricing, plan),
        "saved_usd": float(price.total_usd - server_usd) if price and server_usd is not None else None,
        "break_even_tasks": None if server_usd is None else break_even(pricing, plan, server_usd),
    }


def _deployment(measured: Measured, tasks_month: int, server_usd: Decimal | None) -> dict[str, Any]:
    tasks, events = measured.tasks.tasks, measured.events
    parts = [part for part in measured.parts.values() if isinstance(part, PartUse)]
    cpu_s = cpu_s_per_task(parts, events_per_task=events.events / tasks if tasks else 1.0)
    month_s = MONTH_DAYS * DAY_MS / 1000
    return {
        "server_usd": None if server_usd is None else float(server_usd),
        "usd_per_1000_tasks": _ratio(server_usd, tasks_month, 1000, digits=4),
        "cpu_s_per_1000_tasks": None if cpu_s is None else round(cpu_s * 1000, 3),
        "cores": measured.cores,
        "tasks_month_max": int(month_s * measured.cores * USED_SHARE / cpu_s) if cpu_s else None,
        "bytes_per_task": _ratio(events.bytes + measured.tasks.record_bytes, tasks, 1, digits=None),
        "parts": {url: "read" if isinstance(part, PartUse) else part for url, part in measured.parts.items()},
    }


def _ratio(amount: Decimal | float | None, number: int, factor: int, *, digits: int | None) -> float | None:
    return None if amount is None or not number else round(float(amount) * factor / number, digits)


def _notes(measured: Measured, pace_: Pace) -> Sequence[str]:
    notes = []
    if not measured.tasks.tasks:
        notes.append("no delivery settled in this time")
    if pace_.scaled:
        notes.append(
            f"the month is an estimate: {pace_.seen_days:.1f} of {pace_.window_days:.1f} days were seen,"
            f" scaled to {MONTH_DAYS}"
        )
    if measured.retention_s * 1000 < (measured.until_ms - measured.since_ms) * SEEN_SHARE_MIN:
        notes.append(
            f"outcomes are kept for {measured.retention_s / 86400:.0f} days: HEADRACE_RETENTION_OUTCOMES=40d lets the"
            " log hold a month"
        )
    for url, part in measured.parts.items():
        if isinstance(part, str):
            notes.append(f"{url}: {part}; what it used is not in the processor time")
    return notes
