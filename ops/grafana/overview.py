"""Overview: the one to look at first. Does everything flow, and if not, where does it stop?"""

from __future__ import annotations

from ops.grafana import links
from ops.grafana.colors import BAD, GOOD, WAITING
from ops.grafana.links import to_dashboard, to_destination, to_runbook, to_source
from ops.grafana.page import Page, Row
from ops.grafana.panels import (
    ANY_IS_BAD,
    CAPACITY,
    FINE_STOPPED,
    NONE_IS_BAD,
    OPEN_CLOSED,
    RUNS_PAUSED,
    YES_NO,
    Column,
    bars,
    labels_of,
    lines,
    number,
    rows_of,
    states,
)
from ops.grafana.query import (
    RANGE,
    WHOLE_RANGE,
    WINDOW,
    Query,
    depth_by_destination,
    destination_of,
    late_deliveries,
    quantile,
)

KAFKA = to_dashboard(links.KAFKA, "Kafka and worker")
INGEST = to_dashboard(links.INGEST, "Ingest")
DELIVERIES = to_dashboard(links.DELIVERIES, "Deliveries")
ALERTS = 'ALERTS{alertname=~"Headrace.+"}'
ACCEPTED = f'sum(rate(headrace_ingest_requests_total{{outcome="accepted"}}{WINDOW}))'
SETTLED = f'sum(rate(headrace_deliveries_total{{outcome="settled"}}{WINDOW}))'
LATE_POSTS = (
    f"1 - sum(increase(headrace_ingest_valid_posts_in_time_total{RANGE}))"
    f" / sum(increase(headrace_ingest_valid_posts_total{RANGE}))"
)
# The objective is 99.9 %: from 0.1 % on it is missed.
OBJECTIVE_STEPS = [(None, GOOD), (0.0005, WAITING), (0.001, BAD)]


def depth_of(stage: str) -> str:
    """Return how many records wait in the topics of a stage: events, deliveries or retries."""
    return f'sum(max by (topic) (headrace_queue_depth{{topic=~".*{stage}[.].+"}}))'


NOW = Row(
    "Now",
    [
        number(
            "Kafka",
            "Whether every part of Headrace reaches Kafka. DOWN: nothing is accepted, nothing is delivered; producers"
            " get 503 and post again.",
            "min(headrace_kafka_up)",
            words=YES_NO,
            links=[KAFKA, to_runbook("HeadraceKafkaDown")],
        ),
        number(
            "Ingest ready",
            "Processes that accept events. 0: producers are turned away.",
            "sum(headrace_ingest_ready)",
            steps=NONE_IS_BAD,
            links=[INGEST, to_runbook("HeadraceIngestNotReady")],
        ),
        number(
            "Workers ready",
            "Workers that have their tables and take deliveries. 0: everything accepted waits in Kafka.",
            "sum(headrace_worker_ready)",
            steps=NONE_IS_BAD,
            links=[KAFKA, to_runbook("HeadraceWorkerNotReady")],
        ),
        number(
            "Not answering",
            "Processes of Headrace that Prometheus cannot scrape: down, or unreachable.",
            'count(up{job=~"headrace-.*"} == 0) or vector(0)',
            steps=ANY_IS_BAD,
            links=[to_runbook("HeadraceTargetDown")],
        ),
        number(
            "Alerts firing",
            "Alerts of Headrace that fire now; the table below names them.",
            'count(ALERTS{alertname=~"Headrace.+", alertstate="firing"}) or vector(0)',
            steps=ANY_IS_BAD,
        ),
        number(
            "Circuits open",
            "Destinations that failed so often in a row that nothing is sent there for a while; deliveries wait.",
            "count(max by (destination) (headrace_circuit_open) > 0) or vector(0)",
            steps=ANY_IS_BAD,
            links=[DELIVERIES, to_runbook("HeadraceCircuitOpen")],
        ),
        number(
            "Paused",
            "Destinations that somebody, or a refused credential, has stopped. They stay so until `headrace resume`.",
            "count(max by (destination) (headrace_destination_paused) > 0) or vector(0)",
            steps=[(None, GOOD), (1, "orange")],
            links=[DELIVERIES, to_runbook("HeadraceDestinationPaused")],
        ),
        number(
            "Dead letters",
            "Deliveries and events that failed for good and wait for `headrace dlq replay`.",
            "sum(max by (destination) (headrace_dead_letters))",
            steps=ANY_IS_BAD,
            links=[DELIVERIES, to_runbook("HeadraceDeadLetters")],
        ),
        number("Accepted", "Events accepted a second: answered 200 and kept.", ACCEPTED, unit="mps", graph=True),
        number("Settled", "Deliveries carried out a second, over all destinations.", SETTLED, unit="mps", graph=True),
        number(
            "Waiting",
            "Records in all queues: events to be fanned out, deliveries to be carried out or tried again.",
            "sum(max by (topic) (headrace_queue_depth))",
            graph=True,
            links=[KAFKA, to_runbook("HeadraceQueueGrowing")],
        ),
        number(
            "Age, p50",
            "Half of the deliveries were settled sooner than this after their event was accepted.",
            quantile(0.5, "headrace_delivery_age_seconds", ""),
            unit="s",
            steps=[(None, GOOD), (10, WAITING), (60, BAD)],
            nothing="none settled",
        ),
        number(
            "Age, p99",
            "One delivery in a hundred took longer than this. The objective is 60 s.",
            quantile(0.99, "headrace_delivery_age_seconds", ""),
            unit="s",
            steps=[(None, GOOD), (30, WAITING), (60, BAD)],
            nothing="none settled",
        ),
        number(
            "Posts missed",
            "Share of the valid posts of this time that were not answered 200 in 200 ms. The objective allows 0.1 %.",
            LATE_POSTS,
            unit="percentunit",
            decimals=2,
            steps=OBJECTIVE_STEPS,
            nothing="no posts",
            links=[INGEST, to_runbook("HeadraceIngestErrorBudgetBurn")],
        ),
        number(
            "Deliveries missed",
            "Share of the deliveries ended in this time that were not settled within 60 s. The objective allows 0.1 %.",
            late_deliveries("", RANGE),
            unit="percentunit",
            decimals=2,
            steps=OBJECTIVE_STEPS,
            nothing="none ended",
            links=[DELIVERIES, to_runbook("HeadraceDeliveryErrorBudgetBurn")],
        ),
        number(
            "Fullest limit",
            "The limit that is used most; the bars below name it.",
            "max(headrace_capacity_used_ratio)",
            unit="percentunit",
            decimals=0,
            steps=CAPACITY,
            links=[to_runbook("HeadraceCapacityHigh")],
        ),
    ],
)

FLOW = Row(
    "Flow",
    [
        lines(
            "From post to settled",
            "Each event accepted is fanned out at once, and each of its deliveries settled. Where a line stays below"
            " the one before it, that stage is behind (settled is higher where events go to several destinations).",
            Query(ACCEPTED, "accepted"),
            Query(f'sum(rate(headrace_events_total{{outcome="fanned_out"}}{WINDOW}))', "fanned out"),
            Query(SETTLED, "settled"),
            Query(f'sum(rate(headrace_deliveries_total{{outcome="dead_lettered"}}{WINDOW}))', "dead-lettered"),
            unit="mps",
        ),
        lines(
            "Waiting, by stage",
            "Where the records wait. Growing for fan-out: no worker, or too few. Growing for delivery: a destination is"
            " slow, limited, paused or its circuit open. For a retry: a destination fails.",
            Query(depth_of("events"), "waiting for fan-out"),
            Query(depth_of("deliveries"), "waiting for delivery"),
            Query(depth_of("retries"), "waiting for a retry"),
            stacked=True,
        ),
        states(
            "What stood still",
            "Kafka, ingest and workers always; a destination if it was paused or its circuit open in this time.",
            Query("1 - min(headrace_kafka_up)", "Kafka"),
            Query("sum(headrace_ingest_ready) < bool 1", "ingest"),
            Query("sum(headrace_worker_ready) < bool 1", "workers"),
            Query(
                "max by (destination) (headrace_circuit_open)"
                f" and max by (destination) (max_over_time(headrace_circuit_open{WHOLE_RANGE})) > 0",
                "{{destination}}: circuit",
            ),
            Query(
                "max by (destination) (headrace_destination_paused)"
                f" and max by (destination) (max_over_time(headrace_destination_paused{WHOLE_RANGE})) > 0",
                "{{destination}}: paused",
            ),
            words=FINE_STOPPED,
            data_links=[to_destination()],
        ),
    ],
)

TIME = Row(
    "Time and errors",
    [
        lines(
            "Answer time of ingest",
            "What producers wait for. Above the line at 200 ms a post misses the objective, though it is kept.",
            Query(quantile(0.5, "headrace_ingest_request_seconds", ""), "p50"),
            Query(quantile(0.99, "headrace_ingest_request_seconds", ""), "p99"),
            unit="s",
            line_at=0.2,
            width=8,
        ),
        lines(
            "Age of settled deliveries",
            "From accepting the event to settling the delivery, retries and waits included. The objective is 60 s.",
            Query(quantile(0.5, "headrace_delivery_age_seconds", ""), "p50"),
            Query(quantile(0.99, "headrace_delivery_age_seconds", ""), "p99"),
            unit="s",
            line_at=60,
            width=8,
        ),
        lines(
            "What went wrong",
            "Posts refused, calls that failed (most are tried again) and dead letters written, a second.",
            Query(
                f'sum(rate(headrace_ingest_requests_total{{outcome!~"accepted|handshake"}}{WINDOW}))', "posts refused"
            ),
            Query(f'sum(rate(headrace_attempts_total{{outcome!="ok"}}{WINDOW}))', "calls failed"),
            Query(f"sum(rate(headrace_dead_letters_written_total{WINDOW}))", "dead-lettered"),
            unit="cps",
            width=8,
        ),
    ],
)

PLACES = Row(
    "Where",
    [
        rows_of(
            "Destinations",
            "One line a destination, those where most waits first. Click a name for its deliveries.",
            "destination",
            Column("Waiting", depth_by_destination(".+")),
            Column(
                "Settled",
                f'sum by (destination) (rate(headrace_deliveries_total{{outcome="settled"}}{WINDOW}))',
                unit="mps",
            ),
            Column(
                "Calls failed",
                f'sum by (destination) (rate(headrace_attempts_total{{outcome!="ok"}}{WINDOW}))'
                f" / sum by (destination) (rate(headrace_attempts_total{WINDOW}))",
                unit="percentunit",
                steps=[(None, GOOD), (0.01, WAITING), (0.1, BAD)],
            ),
            Column(
                "Age, p99",
                quantile(0.99, "headrace_delivery_age_seconds", "", "destination"),
                unit="s",
                steps=[(None, GOOD), (30, WAITING), (60, BAD)],
            ),
            Column("Circuit", "max by (destination) (headrace_circuit_open)", words=OPEN_CLOSED),
            Column("Queue", "max by (destination) (headrace_destination_paused)", words=RUNS_PAUSED),
            Column(
                "Dead letters",
                'max by (destination) (headrace_dead_letters{destination!=""})',
                steps=ANY_IS_BAD,
            ),
            Column(
                "Fullest limit",
                "max by (destination) ("
                + destination_of(
                    'headrace_capacity_used_ratio{resource=~"(delivery_slots|rate|records_in_work|body_bytes_in_work):.+"}',
                    "resource",
                    "[^:]+:(.+)",
                )
                + ")",
                unit="percentunit",
                steps=CAPACITY,
            ),
            link=to_dashboard(links.DELIVERIES, "Deliveries to ${__value.raw}", "var-destination=${__value.raw}"),
            sort_by="Waiting",
            nothing="no destinations",
            width=14,
        ),
        rows_of(
            "Sources",
            "One line a source, the busiest first. Click a name for its posts.",
            "source",
            Column(
                "Accepted",
                f'sum by (source) (rate(headrace_ingest_requests_total{{outcome="accepted", source!=""}}{WINDOW}))',
                unit="mps",
            ),
            Column(
                "Refused",
                "sum by (source)"
                f' (rate(headrace_ingest_requests_total{{outcome!~"accepted|handshake", source!=""}}{WINDOW}))',
                unit="reqps",
                steps=[(None, GOOD), (1e-9, WAITING)],
            ),
            Column(
                "Answer, p99",
                quantile(0.99, "headrace_ingest_request_seconds", 'source!=""', "source"),
                unit="s",
                steps=[(None, GOOD), (0.1, WAITING), (0.2, BAD)],
            ),
            Column(
                "Duplicate",
                f'sum by (source) (rate(headrace_events_total{{outcome="duplicate"}}{WINDOW}))',
                unit="mps",
            ),
            Column(
                "Unrouted",
                f'sum by (source) (rate(headrace_events_total{{outcome="unrouted"}}{WINDOW}))',
                unit="mps",
            ),
            link=to_dashboard(links.INGEST, "Posts of ${__value.raw}", "var-source=${__value.raw}"),
            links=[to_runbook("HeadraceSourceSilent")],
            sort_by="Accepted",
            nothing="no sources",
            width=10,
        ),
    ],
)

LIMITS = Row(
    "Limits and alerts",
    [
        bars(
            "Fullest limits",
            "The twelve limits that are used most. From 80 % an alert fires: raise the limit, or add a process, before"
            " it is full.",
            Query("topk(12, max by (resource) (headrace_capacity_used_ratio))", "{{resource}}", instant=True),
            unit="percentunit",
            steps=CAPACITY,
            top=1,
            links=[to_runbook("HeadraceCapacityHigh"), to_runbook("HeadraceCapacityPredicted")],
        ),
        labels_of(
            "Alerts",
            "What fires, or is about to. Click a name for its runbook.",
            ALERTS,
            columns={
                "alertname": "Alert",
                "alertstate": "State",
                "severity": "Severity",
                "destination": "Destination",
                "source": "Source",
                "topic": "Topic",
                "resource": "Resource",
            },
            colors={"State": {"firing": ("FIRING", BAD), "pending": ("pending", WAITING)}},
            link_on="Alert",
            link=to_runbook("${__value.raw}"),
            nothing="no alerts: all is well",
        ),
        lines(
            "Events of each source",
            "Accepted a second, the ten busiest sources of this time.",
            Query(
                f'sum by (source) (rate(headrace_ingest_requests_total{{outcome="accepted"}}{WINDOW}))'
                f" and topk(10, sum by (source) (increase(headrace_ingest_requests_total{WHOLE_RANGE})))",
                "{{source}}",
            ),
            unit="mps",
            data_links=[to_source()],
            width=8,
        ),
        lines(
            "Depth of each queue",
            "Records that wait, the ten fullest queues of this time.",
            Query(
                "max by (topic) (headrace_queue_depth)"
                f" and topk(10, max by (topic) (max_over_time(headrace_queue_depth{WHOLE_RANGE})))",
                "{{topic}}",
            ),
            links=[to_runbook("HeadraceQueueGrowing"), to_runbook("HeadraceQueueStuck")],
            width=8,
        ),
        lines(
            "Events in the spool",
            "Answered 200 and not yet in Kafka, by ingest: they wait on its disk while Kafka is away.",
            Query("sum by (instance) (headrace_ingest_spool_events)", "{{instance}}"),
            links=[to_runbook("HeadraceSpoolFilling"), to_runbook("HeadraceSpoolNotDraining")],
            nothing="no spool",
            width=8,
        ),
    ],
)

PAGE = Page(
    links.OVERVIEW,
    "Overview",
    "Look here first: does everything flow, and if not, where does it stop?",
    [NOW, FLOW, TIME, PLACES, LIMITS],
)
