"""The prices of Zapier, and of the server, as metrics: the dashboard *Cost* multiplies them with what was done."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, Gauge

from headrace.mistakes import ConfigError
from headrace.price_table import NoPriceTable, read_pricing
from headrace.pricing import Pricing, break_even, parse_usd

SERVER_USD, PLAN = "HEADRACE_SERVER_USD", "HEADRACE_PLAN"

log = structlog.get_logger("ingest")


class PriceMetrics:
    """The gauges; `announce` gives them their values once, since a table of prices does not change by itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._tier_tasks = Gauge(
            "headrace_zapier_tier_tasks", "Tasks a month that a tier includes.", ["plan", "tier"], registry=registry
        )
        self._tier_usd = Gauge(
            "headrace_zapier_tier_usd", "Dollars a month that a tier costs.", ["plan", "tier"], registry=registry
        )
        self._overage_factor = Gauge(
            "headrace_zapier_overage_factor",
            "How many times as much a task beyond the tier costs.",
            registry=registry,
        )
        self._tasks_factor_max = Gauge(
            "headrace_zapier_tasks_factor_max",
            "How many times the tier's tasks are sold at most, overage included.",
            registry=registry,
        )
        self._server_usd = Gauge(
            "headrace_server_usd", "Dollars a month that the server costs; 0 if nobody said so.", registry=registry
        )
        self._break_even_tasks = Gauge(
            "headrace_zapier_break_even_tasks",
            "The fewest tasks a month for which a plan costs more than the server, if it ever does.",
            ["plan"],
            registry=registry,
        )

    def announce(self, pricing: Pricing, server_usd: Decimal | None) -> None:
        """Set every gauge; without the server's price there is no break-even."""
        self._overage_factor.set(float(pricing.overage_factor))
        self._tasks_factor_max.set(float(pricing.tasks_factor_max))
        self._server_usd.set(float(server_usd or 0))
        for plan, tiers in pricing.plans.items():
            for tier in tiers:
                self._tier_tasks.labels(plan, tier.tasks).set(tier.tasks)
                self._tier_usd.labels(plan, tier.tasks).set(float(tier.usd))
            tasks = None if server_usd is None else break_even(pricing, plan, server_usd)
            if tasks is not None:
                self._break_even_tasks.labels(plan).set(tasks)


def announce_prices(registry: CollectorRegistry, environ: Mapping[str, str]) -> None:
    """Make the gauges from ``HEADRACE_PLAN`` and ``HEADRACE_SERVER_USD``; what is wrong with them is logged.

    Events are accepted all the same: a price is no reason to refuse one.
    """
    metrics = PriceMetrics(registry)
    plan, text = environ.get(PLAN, ""), environ.get(SERVER_USD, "")
    server_usd = None
    try:
        server_usd = parse_usd(text) if text.strip() else None
    except ValueError as error:
        log.warning("prices_unknown", reason=f"{SERVER_USD}: {error}")
    try:
        metrics.announce(read_pricing(Path(plan) if plan else None), server_usd)
    except ConfigError as error:
        log.warning("prices_unknown", reason="; ".join(error.report()))
    except NoPriceTable as error:
        log.warning("prices_unknown", reason=str(error))
