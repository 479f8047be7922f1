"""Cost: what Zapier would charge for what was done, and what the server costs."""

from __future__ import annotations

from ops.grafana import links
from ops.grafana.colors import BAD, GOOD
from ops.grafana.links import to_dashboard, to_runbook
from ops.grafana.page import Page, Row
from ops.grafana.panels import Column, lines, number, rows_of
from ops.grafana.query import RANGE, WHOLE_RANGE, WINDOW, Query

MONTH_S = 30 * 24 * 3600
# What Zapier would count: a successful action that is no copy for the system that is replaced.
TASKS = 'headrace_deliveries_total{outcome="settled", route!~".+\\\\.mirror"}'
ACCEPTED = 'headrace_ingest_requests_total{outcome="accepted"}'
PER_MONTH = f"scalar(sum(increase({TASKS}{RANGE})) * {MONTH_S} / $__range_s)"
TIER_TASKS = "max by (plan, tier) (headrace_zapier_tier_tasks)"
TIER_USD = "max by (plan, tier) (headrace_zapier_tier_usd)"
OVERAGE = "scalar(max(headrace_zapier_overage_factor))"
TIMES_MAX = "scalar(max(headrace_zapier_tasks_factor_max))"
SERVER = "max(headrace_server_usd)"
# As headrace/pricing.py: the cheapest tier, with its overage, of those that sell so many tasks.
PRICE = (
    f"min by (plan) ({TIER_USD} * (1 + {OVERAGE} * clamp_min({PER_MONTH} / {TIER_TASKS} - 1, 0))"
    f" and on (plan, tier) {TIER_TASKS} * {TIMES_MAX} >= {PER_MONTH})"
)
PACE = (
    "At the pace of the time that is shown, scaled to 30 days: choose 30 days or a part that is typical. Where"
    " Prometheus has less than that time, it is too low; headrace cost counts from the log."
)

NOW = Row(
    "This time",
    [
        number(
            "Events",
            "Events accepted in this time.",
            f"sum(increase({ACCEPTED}{RANGE}))",
            decimals=0,
            width=4,
            links=[to_dashboard(links.INGEST, "Ingest")],
        ),
        number(
            "Tasks",
            "Deliveries settled in this time, mirrors left out: what Zapier would count. Those of Headrace's own events"
            " are in it; headrace cost leaves them out too.",
            f"sum(increase({TASKS}{RANGE}))",
            decimals=0,
            width=4,
            links=[to_dashboard(links.DELIVERIES, "Deliveries")],
        ),
        number("Tasks a month", PACE, PER_MONTH, decimals=0, width=4),
        number(
            "Zapier a month",
            f"The cheapest of its plans. {PACE}",
            f"min({PRICE})",
            unit="currencyUSD",
            decimals=2,
            width=4,
            nothing="not sold",
        ),
        number(
            "Server a month",
            "As HEADRACE_SERVER_USD says it in the environment of ingest; 0 if it does not.",
            SERVER,
            unit="currencyUSD",
            decimals=2,
            width=4,
        ),
        number(
            "Saved a month",
            f"Zapier's cheapest plan, less the server. {PACE}",
            f"min({PRICE}) - {SERVER}",
            unit="currencyUSD",
            steps=[(None, BAD), (0, GOOD)],
            decimals=2,
            width=4,
            nothing="not sold",
        ),
    ],
)

PLANS = Row(
    "Plans",
    [
        rows_of(
            "Zapier's plans",
            f"What each plan would cost, and from how many tasks a month on it costs more than the server. {PACE}",
            "plan",
            Column("A month", PRICE, unit="currencyUSD"),
            Column("Saved", f"{PRICE} - on () group_left () {SERVER}", unit="currencyUSD"),
            Column("Break-even, tasks a month", "max by (plan) (headrace_zapier_break_even_tasks)"),
            sort_by="A month",
            nothing="no prices",
            width=12,
            height=8,
        ),
        lines(
            "Tasks a month, at the pace of each moment",
            "How the pace changes, beside the number of tasks from which on each plan costs more than the server.",
            Query(f"sum(rate({TASKS}{WINDOW})) * {MONTH_S}", "tasks"),
            Query("max by (plan) (headrace_zapier_break_even_tasks)", "break-even {{plan}}"),
        ),
    ],
)

WORK = Row(
    "Work",
    [
        lines(
            "Tasks by route",
            "Tasks a second, the ten routes with most of them. What fails is no task.",
            Query(
                f"sum by (route) (rate({TASKS}{WINDOW})) and topk(10, sum by (route) (increase({TASKS}{WHOLE_RANGE})))",
                "{{route}}",
            ),
            unit="mps",
            stacked=True,
            links=[to_runbook("HeadraceDeadLetters")],
            data_links=[to_dashboard(links.DELIVERIES, "Deliveries")],
        ),
        lines(
            "Processor time a task",
            "Seconds of ingest and workers, Kafka left out. With little to do it is high: waiting takes some too.",
            Query(
                f'sum(rate(process_cpu_seconds_total{{job=~"headrace-.*"}}{WINDOW})) / sum(rate({TASKS}{WINDOW}))',
                "processor time",
            ),
            unit="s",
        ),
    ],
)

PAGE = Page(
    links.COST,
    "Cost",
    "What Zapier would charge for what was done here, what the server costs, and what that saves.",
    [NOW, PLANS, WORK],
    since="now-30d",
)
