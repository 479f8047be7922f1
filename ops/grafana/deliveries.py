"""Deliveries: what each destination gets, how long it takes, and what becomes of what fails."""

from __future__ import annotations

from ops.grafana import links, variables
from ops.grafana.colors import BAD, GOOD, WAITING
from ops.grafana.ingest import BURN_STEPS, OBJECTIVE
from ops.grafana.links import to_dashboard, to_destination, to_runbook
from ops.grafana.page import Page, Row
from ops.grafana.panels import (
    ANY_IS_BAD,
    CAPACITY,
    OPEN_CLOSED,
    RUNS_PAUSED,
    Column,
    bars,
    heat,
    lines,
    number,
    rows_of,
    states,
)
from ops.grafana.query import (
    DESTINATION,
    QUEUE_OF_DESTINATION,
    RANGE,
    WHOLE_RANGE,
    WINDOW,
    Query,
    depth_by_destination,
    destination_of,
    late_deliveries,
    quantile,
)

DELIVERIES, ATTEMPTS = "headrace_deliveries_total", "headrace_attempts_total"
QUEUE_WAIT, HELD = "headrace_queue_wait_seconds", "headrace_destination_held_seconds_total"
AGE, ATTEMPT, WAIT = "headrace_delivery_age_seconds", "headrace_attempt_seconds", "headrace_rate_limit_wait_seconds"
FAILED = f'{ATTEMPTS}{{{DESTINATION}, outcome!="ok"}}'
LIMITS_OF_A_DESTINATION = "delivery_slots|rate|records_in_work|body_bytes_in_work"
OUTSTANDING = f"max by (destination) (headrace_dead_letters{{{DESTINATION}}})"


def slowest(histogram: str) -> Query:
    """Return the p99 of the ten destinations where it is highest."""
    return Query(
        quantile(0.99, histogram, DESTINATION, "destination")
        + " and topk(10, histogram_quantile(0.99, sum by (destination, le)"
        f" (increase({histogram}_bucket{{{DESTINATION}}}{WHOLE_RANGE}))))",
        "{{destination}}",
    )


def busiest(counter: str, matchers: str) -> Query:
    """Return the rate of a counter at the ten destinations where it counted most."""
    selected = f"{counter}{{{DESTINATION}, {matchers}}}"
    return Query(
        f"sum by (destination) (rate({selected}{WINDOW}))"
        f" and topk(10, sum by (destination) (increase({selected}{WHOLE_RANGE})))",
        "{{destination}}",
    )


NOW = Row(
    "Now",
    [
        number(
            "Settled",
            "Deliveries carried out a second.",
            f'sum(rate({DELIVERIES}{{{DESTINATION}, outcome="settled"}}{WINDOW}))',
            unit="mps",
            graph=True,
        ),
        number(
            "Calls failed",
            "Share of the calls that failed. Most are tried again; see by outcome below.",
            f"sum(rate({FAILED}{WINDOW})) / sum(rate({ATTEMPTS}{{{DESTINATION}}}{WINDOW}))",
            unit="percentunit",
            decimals=1,
            steps=[(None, GOOD), (0.01, WAITING), (0.1, BAD)],
            nothing="no calls",
        ),
        number(
            "Age, p99",
            "One delivery in a hundred was settled later than this after its event was accepted.",
            quantile(0.99, AGE, DESTINATION),
            unit="s",
            steps=[(None, GOOD), (30, WAITING), (60, BAD)],
            nothing="none settled",
        ),
        number(
            "Waiting",
            "Deliveries in the queues of the destinations chosen.",
            f"sum({depth_by_destination()})",
            graph=True,
            links=[to_runbook("HeadraceQueueGrowing"), to_runbook("HeadraceQueueStuck")],
        ),
        number(
            "Circuits open",
            "Destinations that failed so often in a row that nothing is sent there for a while.",
            f"count(max by (destination) (headrace_circuit_open{{{DESTINATION}}}) > 0) or vector(0)",
            steps=ANY_IS_BAD,
            links=[to_runbook("HeadraceCircuitOpen")],
        ),
        number(
            "Paused",
            "Destinations that somebody, or a refused credential, has stopped.",
            f"count(max by (destination) (headrace_destination_paused{{{DESTINATION}}}) > 0) or vector(0)",
            steps=[(None, GOOD), (1, "orange")],
            links=[to_runbook("HeadraceDestinationPaused")],
        ),
        number(
            "Dead letters",
            "Deliveries that failed for good and wait for `headrace dlq replay`; with all chosen,"
            " events that nobody could read too.",
            f"sum({OUTSTANDING})",
            steps=ANY_IS_BAD,
            links=[to_runbook("HeadraceDeadLetters")],
        ),
        number(
            "Budget left",
            "How much of what the objective (99.9 % settled within 60 s) allows to be missed in this time is left;"
            " below 0 it is missed.",
            f"1 - ({late_deliveries(DESTINATION, RANGE)}) / {OBJECTIVE}",
            unit="percentunit",
            decimals=0,
            steps=[(None, BAD), (0, "orange"), (0.5, GOOD)],
            nothing="none ended",
            links=[to_runbook("HeadraceDeliveryErrorBudgetBurn")],
        ),
    ],
)

TABLE = Row(
    "Destinations",
    [
        rows_of(
            "Destinations",
            "One line a destination, those where most waits first. Click a name to see it alone.",
            "destination",
            Column("Waiting", depth_by_destination()),
            Column(
                "Settled",
                f'sum by (destination) (rate({DELIVERIES}{{{DESTINATION}, outcome="settled"}}{WINDOW}))',
                unit="mps",
            ),
            Column(
                "Time to drain",
                f"{depth_by_destination()} / (sum by (destination)"
                f' (rate({DELIVERIES}{{{DESTINATION}, outcome=~".+"}}{WINDOW})) > 0)',
                unit="s",
                steps=[(None, GOOD), (60, WAITING), (3600, BAD)],
            ),
            Column(
                "Calls failed",
                f"sum by (destination) (rate({FAILED}{WINDOW}))"
                f" / sum by (destination) (rate({ATTEMPTS}{{{DESTINATION}}}{WINDOW}))",
                unit="percentunit",
                steps=[(None, GOOD), (0.01, WAITING), (0.1, BAD)],
            ),
            Column("Call, p99", quantile(0.99, ATTEMPT, DESTINATION, "destination"), unit="s"),
            Column(
                "Age, p99",
                quantile(0.99, AGE, DESTINATION, "destination"),
                unit="s",
                steps=[(None, GOOD), (30, WAITING), (60, BAD)],
            ),
            Column("Limit wait, p99", quantile(0.99, WAIT, DESTINATION, "destination"), unit="s"),
            Column("Circuit", f"max by (destination) (headrace_circuit_open{{{DESTINATION}}})", words=OPEN_CLOSED),
            Column("Queue", f"max by (destination) (headrace_destination_paused{{{DESTINATION}}})", words=RUNS_PAUSED),
            Column("Dead letters", OUTSTANDING, steps=ANY_IS_BAD),
            link=to_dashboard(links.DELIVERIES, "${__value.raw} alone", "var-destination=${__value.raw}"),
            sort_by="Waiting",
            nothing="no destinations",
        ),
        states(
            "Circuits",
            "Open after consecutive failures: nothing is sent and no attempt is used. Half-open: a call tries whether"
            " the destination is back.",
            Query(f"max by (destination) (headrace_circuit_open{{{DESTINATION}}})", "{{destination}}"),
            words=OPEN_CLOSED,
            links=[to_runbook("HeadraceCircuitOpen")],
            data_links=[to_destination()],
            width=12,
        ),
        states(
            "Paused",
            "Paused by `headrace pause`, or because the destination refused its credentials; until `headrace resume`.",
            Query(f"max by (destination) (headrace_destination_paused{{{DESTINATION}}})", "{{destination}}"),
            words=RUNS_PAUSED,
            links=[to_runbook("HeadraceDestinationPaused")],
            data_links=[to_destination()],
            width=12,
        ),
    ],
)

RATES = Row(
    "Deliveries and calls",
    [
        lines(
            "Deliveries by outcome",
            "What became of deliveries that left their queue: settled, delayed (tried again later), dead-lettered, or"
            " skipped (already settled before).",
            Query(f"sum by (outcome) (rate({DELIVERIES}{{{DESTINATION}}}{WINDOW}))", "{{outcome}}"),
            unit="mps",
            stacked=True,
        ),
        lines(
            "Calls by outcome",
            "Every call to a destination and how it ended. A delivery may need several.",
            Query(f"sum by (outcome) (rate({ATTEMPTS}{{{DESTINATION}}}{WINDOW}))", "{{outcome}}"),
            unit="reqps",
            stacked=True,
        ),
        lines(
            "Settled by destination",
            "Deliveries carried out a second, the ten busiest of the destinations chosen.",
            busiest(DELIVERIES, 'outcome="settled"'),
            unit="mps",
            data_links=[to_destination()],
        ),
        lines(
            "Failed calls by destination",
            "The ten destinations with most failed calls.",
            busiest(ATTEMPTS, 'outcome!="ok"'),
            unit="reqps",
            data_links=[to_destination()],
            nothing="no call failed",
        ),
        lines(
            "Settled by route",
            "Deliveries carried out a second, the ten busiest routes.",
            Query(
                f'sum by (route) (rate({DELIVERIES}{{{DESTINATION}, outcome="settled"}}{WINDOW}))'
                f" and topk(10, sum by (route) (increase({DELIVERIES}{{{DESTINATION}}}{WHOLE_RANGE})))",
                "{{route}}",
            ),
            unit="mps",
        ),
        lines(
            "Waiting by destination",
            "Deliveries in each queue, the ten fullest.",
            Query(
                f"{depth_by_destination()} and topk(10, sum by (destination) ("
                + destination_of(
                    "max by (topic) (max_over_time("
                    f'headrace_queue_depth{{topic=~".*deliveries[.]($destination)([.]high)?"}}{WHOLE_RANGE}))',
                    "topic",
                    QUEUE_OF_DESTINATION,
                )
                + "))",
                "{{destination}}",
            ),
            links=[to_runbook("HeadraceQueueGrowing"), to_runbook("HeadraceQueueStuck")],
            data_links=[to_destination()],
        ),
    ],
)

TIME = Row(
    "Time",
    [
        lines(
            "Duration of calls",
            "How long the destinations take to answer.",
            Query(quantile(0.5, ATTEMPT, DESTINATION), "p50"),
            Query(quantile(0.95, ATTEMPT, DESTINATION), "p95"),
            Query(quantile(0.99, ATTEMPT, DESTINATION), "p99"),
            unit="s",
            width=8,
        ),
        lines(
            "Age of settled deliveries",
            "From accepting the event to settling the delivery, retries and waits included. The objective is 60 s.",
            Query(quantile(0.5, AGE, DESTINATION), "p50"),
            Query(quantile(0.95, AGE, DESTINATION), "p95"),
            Query(quantile(0.99, AGE, DESTINATION), "p99"),
            unit="s",
            line_at=60,
            width=8,
        ),
        lines(
            "From accepted to fanned out",
            "What fan-out adds, for all events: usually milliseconds. The rest of the age is the destination's queue.",
            Query(quantile(0.5, "headrace_fan_out_seconds", ""), "p50"),
            Query(quantile(0.95, "headrace_fan_out_seconds", ""), "p95"),
            Query(quantile(0.99, "headrace_fan_out_seconds", ""), "p99"),
            unit="s",
            width=8,
        ),
        lines(
            "Duration of calls by destination, p99",
            "The ten slowest.",
            slowest(ATTEMPT),
            unit="s",
            width=8,
            data_links=[to_destination()],
        ),
        lines(
            "Age by destination, p99",
            "The ten oldest. The objective is 60 s.",
            slowest(AGE),
            unit="s",
            line_at=60,
            width=8,
            data_links=[to_destination()],
        ),
        lines(
            "Waits for the rate limit by destination, p99",
            "How long calls wait so that a destination's own rate is kept; the ten longest.",
            slowest(WAIT),
            unit="s",
            width=8,
            data_links=[to_destination()],
        ),
        heat(
            "Spread of ages",
            "How many deliveries were settled how long after their event was accepted: the darker, the more.",
            f"sum by (le) (increase({AGE}_bucket{{{DESTINATION}}}{WINDOW}))",
            unit="s",
        ),
        heat(
            "Spread of call durations",
            "How many calls took how long: the darker, the more.",
            f"sum by (le) (increase({ATTEMPT}_bucket{{{DESTINATION}}}{WINDOW}))",
            unit="s",
        ),
    ],
)

FAILURES = Row(
    "Retries and dead letters",
    [
        lines(
            "Waiting for a retry",
            "Deliveries that wait in each delay, over all destinations: a retry topic serves them all.",
            Query('max by (topic) (headrace_queue_depth{topic=~".*retries[.].+"})', "{{topic}}"),
            stacked=True,
        ),
        lines(
            "Delayed by destination",
            "Deliveries put off to a later retry, a second; the ten destinations with most.",
            busiest(DELIVERIES, 'outcome="delayed"'),
            unit="mps",
            data_links=[to_destination()],
            nothing="none delayed",
        ),
        lines(
            "Outstanding dead letters",
            "Dead letters that wait for a replay or a discard; without a name: events that nobody could read.",
            Query(OUTSTANDING, "of {{destination}}"),
            stacked=True,
            links=[to_runbook("HeadraceDeadLetters")],
            data_links=[to_destination()],
        ),
        lines(
            "Dead letters written, by cause",
            "The stage that gave up: the event or its mapping (decode, match, route, render), the destination's refusal"
            " (call), or the retries used up (retry). Counted over each step of the graph.",
            Query(
                f"sum by (stage) (increase(headrace_dead_letters_written_total{{{DESTINATION}}}{WINDOW}))", "{{stage}}"
            ),
            stacked=True,
            links=[to_runbook("HeadraceDeadLetters")],
            nothing="none written",
        ),
        lines(
            "Dead letters written, by destination",
            "The ten destinations with most of them. Counted over each step of the graph.",
            Query(
                f"sum by (destination) (increase(headrace_dead_letters_written_total{{{DESTINATION}}}{WINDOW}))"
                " and topk(10, sum by (destination)"
                f" (increase(headrace_dead_letters_written_total{{{DESTINATION}}}{WHOLE_RANGE})))",
                "of {{destination}}",
            ),
            data_links=[to_destination()],
            nothing="none written",
        ),
        lines(
            "Events of Headrace itself",
            "What Headrace tells a route of the source `headrace`: dead letters, opened circuits, paused destinations."
            " Counted over each step of the graph.",
            Query(f"sum by (type) (increase(headrace_own_events_total{WINDOW}))", "{{type}}"),
        ),
    ],
)

TURNS = Row(
    "Priority, quotas and cancellations",
    [
        lines(
            "Waiting by priority",
            "Deliveries in the queues of the destinations chosen. Those of routes with `priority: high` have queues of"
            " their own, which are worked first.",
            Query(
                'sum(max by (topic) (headrace_queue_depth{topic=~".*deliveries[.]($destination)[.]high"}))',
                "high priority",
            ),
            Query(
                "sum(max by (topic) (headrace_queue_depth"
                '{topic=~".*deliveries[.]($destination)", topic!~".*[.]high"}))',
                "normal",
            ),
            stacked=True,
            links=[to_runbook("HeadraceQueueGrowing")],
        ),
        lines(
            "Wait in the queue by priority, p99",
            "From when a delivery came into its queue until its first call out of it: those before it, a slot, the"
            " circuit and the rate.",
            Query(quantile(0.99, QUEUE_WAIT, f'{DESTINATION}, priority="high"', "priority"), "high priority"),
            Query(quantile(0.99, QUEUE_WAIT, f'{DESTINATION}, priority="normal"', "priority"), "normal"),
            unit="s",
        ),
        lines(
            "Held up by the service",
            "Share of the time in which calls wait because the service asked for it (429, Retry-After, or its quota is"
            " used up: blocked), or because what is left of its quota is spread over the time until it is filled again"
            " (spread). At the worker that waits most; the ten destinations held up longest.",
            Query(
                f"max by (destination, reason) (rate({HELD}{{{DESTINATION}}}{WINDOW}))"
                " and on (destination) topk(10, sum by (destination)"
                f" (increase({HELD}{{{DESTINATION}}}{WHOLE_RANGE})))",
                "{{destination}}, {{reason}}",
            ),
            unit="percentunit",
            links=[to_runbook("HeadraceQueueGrowing")],
            data_links=[to_destination()],
        ),
        lines(
            "Cancelled by destination",
            "Deliveries that `headrace queue DESTINATION cancel` kept from being called, when a worker came upon them."
            " They are among those skipped. Counted over each step of the graph; the ten destinations with most.",
            Query(
                f"sum by (destination) (increase(headrace_deliveries_cancelled_total{{{DESTINATION}}}{WINDOW}))"
                " and topk(10, sum by (destination)"
                f" (increase(headrace_deliveries_cancelled_total{{{DESTINATION}}}{WHOLE_RANGE})))",
                "of {{destination}}",
            ),
            data_links=[to_destination()],
            nothing="none cancelled",
        ),
    ],
)

LIMITS = Row(
    "Limits and objective",
    [
        bars(
            "Used share of each limit",
            "Slots for calls, the rate, records and bytes in work. A full one holds up that destination alone.",
            Query(
                "topk(20, max by (resource) (headrace_capacity_used_ratio"
                f'{{resource=~"({LIMITS_OF_A_DESTINATION}):($destination)"}}))',
                "{{resource}}",
                instant=True,
            ),
            unit="percentunit",
            steps=CAPACITY,
            top=1,
            links=[to_runbook("HeadraceCapacityHigh")],
            width=24,
        ),
        lines(
            "Burn rate of the objective",
            "How many times faster than allowed the budget of the objective (99.9 % settled within 60 s) is spent, at"
            " the worst of the destinations chosen: at 1 a month's budget lasts a month, at 14.4 two days.",
            *(
                Query(f"max(destination:headrace_late_deliveries:ratio{window}{{{DESTINATION}}}) / {OBJECTIVE}", window)
                for window in ("5m", "1h", "6h")
            ),
            unit="none",
            steps=BURN_STEPS,
            links=[to_runbook("HeadraceDeliveryErrorBudgetBurn")],
            nothing="none ended",
        ),
        lines(
            "Burn rate by destination",
            "The same over one hour, for the ten destinations where it is highest.",
            Query(
                f"destination:headrace_late_deliveries:ratio1h{{{DESTINATION}}} / {OBJECTIVE}"
                " and topk(10, max_over_time("
                f"destination:headrace_late_deliveries:ratio1h{{{DESTINATION}}}{WHOLE_RANGE}))",
                "{{destination}}",
            ),
            unit="none",
            steps=BURN_STEPS,
            data_links=[to_destination()],
            nothing="none ended",
        ),
    ],
)

TAKEOVER = Row(
    "Taking over from another system",
    [
        lines(
            "Shadowed by route",
            "Deliveries that were rendered and recorded, and called nobody: what headrace zapier parity compares.",
            Query(f'sum by (route) (rate({DELIVERIES}{{{DESTINATION}, outcome="shadowed"}}{WINDOW}))', "{{route}}"),
            unit="mps",
            nothing="none shadowed",
        ),
        lines(
            "Live and shadowed",
            "The deliveries that called a service, beside those that only would have. A mirror is a destination of its"
            " own, called <route>.mirror: its depth, age and dead letters are with the others above.",
            *(
                Query(f'sum(rate({DELIVERIES}{{{DESTINATION}, outcome="{outcome}"}}{WINDOW}))', outcome)
                for outcome in ("settled", "shadowed")
            ),
            unit="mps",
        ),
    ],
)

EACH = Row(
    "Destination $destination",
    [
        lines(
            "Deliveries by outcome: $destination",
            "What became of deliveries that left this queue.",
            Query(f"sum by (outcome) (rate({DELIVERIES}{{{DESTINATION}}}{WINDOW}))", "{{outcome}}"),
            unit="mps",
            stacked=True,
            width=6,
        ),
        lines(
            "Calls by outcome: $destination",
            "Every call to this destination and how it ended.",
            Query(f"sum by (outcome) (rate({ATTEMPTS}{{{DESTINATION}}}{WINDOW}))", "{{outcome}}"),
            unit="reqps",
            stacked=True,
            width=6,
        ),
        lines(
            "Time: $destination",
            "How long a call takes, how long it waits for the rate limit, how old a delivery is when it is settled.",
            Query(quantile(0.99, ATTEMPT, DESTINATION), "call, p99"),
            Query(quantile(0.99, WAIT, DESTINATION), "limit wait, p99"),
            Query(quantile(0.99, AGE, DESTINATION), "age, p99"),
            unit="s",
            width=6,
        ),
        lines(
            "Waiting: $destination",
            "Deliveries in the queue, and outstanding dead letters.",
            Query(depth_by_destination(), "waiting"),
            Query(OUTSTANDING, "dead letters"),
            width=6,
        ),
    ],
    repeat="destination",
)

PAGE = Page(
    links.DELIVERIES,
    "Deliveries",
    "What each destination gets, how long it takes, and what becomes of what fails.",
    [NOW, TABLE, RATES, TIME, FAILURES, TURNS, LIMITS, TAKEOVER, EACH],
    [variables.destination()],
)
