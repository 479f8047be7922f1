"""Ingest: what producers post, how fast they are answered, and what is refused."""

from __future__ import annotations

from ops.grafana import links, variables
from ops.grafana.colors import BAD, GOOD, WAITING
from ops.grafana.links import to_runbook, to_source
from ops.grafana.page import Page, Row
from ops.grafana.panels import CAPACITY, NONE_IS_BAD, bars, heat, lines, number
from ops.grafana.query import RANGE, SOURCE, WHOLE_RANGE, WINDOW, Query, quantile

REQUESTS = "headrace_ingest_requests_total"
REFUSED = 'outcome!~"accepted|handshake"'
VALID, IN_TIME = "headrace_ingest_valid_posts_total", "headrace_ingest_valid_posts_in_time_total"
OBJECTIVE = 0.001
# The rates at which a month's budget is spent in two days and in five (Google's SRE workbook, chapter 5).
BURN_STEPS = [(None, "transparent"), (1, WAITING), (6, "orange"), (14.4, BAD)]


# The share of valid posts that were answered 200 within 200 ms.
KEPT = f"sum(increase({IN_TIME}{{{SOURCE}}}{RANGE})) / sum(increase({VALID}{{{SOURCE}}}{RANGE}))"


NOW = Row(
    "Now",
    [
        number(
            "Ready",
            "Ingest processes that accept events.",
            "sum(headrace_ingest_ready)",
            steps=NONE_IS_BAD,
            links=[to_runbook("HeadraceIngestNotReady")],
        ),
        number(
            "Accepted",
            "Events accepted a second: answered 200 and kept.",
            f'sum(rate({REQUESTS}{{{SOURCE}, outcome="accepted"}}{WINDOW}))',
            unit="mps",
            graph=True,
        ),
        number(
            "Refused",
            "Posts a second that were answered with anything but 200.",
            f"sum(rate({REQUESTS}{{{SOURCE}, {REFUSED}}}{WINDOW}))",
            unit="reqps",
            graph=True,
            links=[to_runbook("HeadraceSignaturesRefused")],
        ),
        number(
            "Unavailable",
            "Posts of this time that were answered 503: Kafka did not acknowledge in time, or the process was full.",
            f'sum(increase({REQUESTS}{{{SOURCE}, outcome="unavailable"}}{RANGE}))',
            steps=[(None, GOOD), (1, WAITING)],
            decimals=0,
            links=[to_runbook("HeadraceKafkaDown")],
        ),
        number(
            "Answer, p99",
            "One post in a hundred waits longer than this for its answer.",
            quantile(0.99, "headrace_ingest_request_seconds", SOURCE),
            unit="s",
            steps=[(None, GOOD), (0.1, WAITING), (0.2, BAD)],
            nothing="no posts",
        ),
        number(
            "In flight",
            "Requests that are being answered, as a share of the limit; beyond it producers get 503.",
            "sum(headrace_ingest_in_flight) / sum(headrace_ingest_in_flight_max)",
            unit="percentunit",
            decimals=0,
            steps=CAPACITY,
            links=[to_runbook("HeadraceCapacityHigh")],
        ),
        number(
            "In time",
            "Share of the valid posts of this time that were answered 200 within 200 ms. The objective is 99.9 %.",
            KEPT,
            unit="percentunit",
            decimals=2,
            steps=[(None, BAD), (0.999, WAITING), (0.9995, GOOD)],
            nothing="no posts",
        ),
        number(
            "Budget left",
            "How much of what the objective allows to be missed in this time is left; below 0 it is missed.",
            f"1 - (1 - {KEPT}) / {OBJECTIVE}",
            unit="percentunit",
            decimals=0,
            steps=[(None, BAD), (0, "orange"), (0.5, GOOD)],
            nothing="no posts",
            links=[to_runbook("HeadraceIngestErrorBudgetBurn")],
        ),
    ],
)

POSTS = Row(
    "Posts",
    [
        lines(
            "Posts by outcome",
            "Every request and how it was answered.",
            Query(f"sum by (outcome) (rate({REQUESTS}{{{SOURCE}}}{WINDOW}))", "{{outcome}}"),
            unit="reqps",
            stacked=True,
        ),
        lines(
            "Accepted by source",
            "Events accepted a second, the ten busiest of the sources chosen.",
            Query(
                f'sum by (source) (rate({REQUESTS}{{{SOURCE}, outcome="accepted"}}{WINDOW}))'
                f" and topk(10, sum by (source) (increase({REQUESTS}{{{SOURCE}}}{WHOLE_RANGE})))",
                "{{source}}",
            ),
            unit="mps",
            links=[to_runbook("HeadraceSourceSilent")],
            data_links=[to_source()],
        ),
        lines(
            "Refused by reason",
            "Posts that were not accepted, and why. Many invalid signatures: a rotated secret, or somebody trying."
            " Unavailable: producers will post these again.",
            Query(f"sum by (outcome) (rate({REQUESTS}{{{SOURCE}, {REFUSED}}}{WINDOW}))", "{{outcome}}"),
            unit="reqps",
            stacked=True,
            links=[to_runbook("HeadraceSignaturesRefused"), to_runbook("HeadraceEventsRefused")],
            nothing="nothing refused",
        ),
        lines(
            "Refused by source",
            "Posts that were not accepted, the ten sources with most of them. Without a name: posts to no source.",
            Query(
                f"sum by (source) (rate({REQUESTS}{{{SOURCE}, {REFUSED}}}{WINDOW}))"
                f" and topk(10, sum by (source) (increase({REQUESTS}{{{SOURCE}, {REFUSED}}}{WHOLE_RANGE})))",
                "source {{source}}",
            ),
            unit="reqps",
            data_links=[to_source()],
            nothing="nothing refused",
        ),
    ],
)

TIME = Row(
    "Answer time",
    [
        lines(
            "Answer time",
            "From a request's headers to its answer. A post above the line at 200 ms misses the objective.",
            Query(quantile(0.5, "headrace_ingest_request_seconds", SOURCE), "p50"),
            Query(quantile(0.95, "headrace_ingest_request_seconds", SOURCE), "p95"),
            Query(quantile(0.99, "headrace_ingest_request_seconds", SOURCE), "p99"),
            unit="s",
            line_at=0.2,
        ),
        heat(
            "Spread of answer times",
            "How many posts took how long: the darker, the more. Whatever is above the edge 0.2 misses the objective.",
            f"sum by (le) (increase(headrace_ingest_request_seconds_bucket{{{SOURCE}}}{WINDOW}))",
            unit="s",
        ),
        lines(
            "Answer time by source, p99",
            "The ten slowest of the sources chosen.",
            Query(
                quantile(0.99, "headrace_ingest_request_seconds", SOURCE, "source")
                + " and topk(10, histogram_quantile(0.99, sum by (source, le)"
                f" (increase(headrace_ingest_request_seconds_bucket{{{SOURCE}}}{WHOLE_RANGE}))))",
                "{{source}}",
            ),
            unit="s",
            line_at=0.2,
            data_links=[to_source()],
        ),
        lines(
            "Later than 200 ms",
            "Share of all requests that took longer than 200 ms, by source.",
            Query(
                f'1 - sum by (source) (rate(headrace_ingest_request_seconds_bucket{{{SOURCE}, le="0.2"}}{WINDOW}))'
                f" / sum by (source) (rate(headrace_ingest_request_seconds_count{{{SOURCE}}}{WINDOW}))",
                "{{source}}",
            ),
            unit="percentunit",
            line_at=OBJECTIVE,
            data_links=[to_source()],
        ),
    ],
)

OBJECTIVES = Row(
    "Objective: 99.9 % of the valid posts answered 200 within 200 ms",
    [
        lines(
            "Burn rate",
            "How many times faster than allowed the objective's budget is spent, over all sources: at 1 a month's"
            " budget lasts a month, at 14.4 two days. The alert needs a short and a long window above its line.",
            *(
                Query(f"headrace:ingest_late_posts:ratio{window} / {OBJECTIVE}", window)
                for window in ("5m", "1h", "6h")
            ),
            unit="none",
            steps=BURN_STEPS,
            links=[to_runbook("HeadraceIngestErrorBudgetBurn")],
            nothing="no posts",
        ),
        lines(
            "Missed by source",
            "Valid posts that were not answered 200 in time, a second.",
            Query(
                f"sum by (source) (rate({VALID}{{{SOURCE}}}{WINDOW}))"
                f" - sum by (source) (rate({IN_TIME}{{{SOURCE}}}{WINDOW}))",
                "{{source}}",
            ),
            unit="reqps",
            data_links=[to_source()],
        ),
    ],
)

LIMITS = Row(
    "Limits",
    [
        lines(
            "In flight",
            "Requests that are being answered, and the limit beyond which producers get 503.",
            Query("sum(headrace_ingest_in_flight)", "in flight"),
            Query("sum(headrace_ingest_in_flight_max)", "limit"),
        ),
        bars(
            "Used share of each limit",
            "The limits of requests and of bytes in flight, and the sources' own rates where they have one.",
            Query(
                "max by (resource) (headrace_capacity_used_ratio"
                '{resource=~"ingest_in_flight|ingest_body_bytes|source_rate:($source)"})',
                "{{resource}}",
                instant=True,
            ),
            unit="percentunit",
            steps=CAPACITY,
            top=1,
            links=[to_runbook("HeadraceCapacityHigh")],
        ),
        lines(
            "After acceptance",
            "What fan-out made of the events: deliveries, nothing (no route took it), or a duplicate that was dropped.",
            Query(f"sum by (outcome) (rate(headrace_events_total{{{SOURCE}}}{WINDOW}))", "{{outcome}}"),
            unit="mps",
            stacked=True,
        ),
        lines(
            "Waiting for fan-out",
            "Events of each source that are accepted and not yet fanned out.",
            Query('max by (topic) (headrace_queue_depth{topic=~".*events[.]($source)"})', "{{topic}}"),
            links=[to_runbook("HeadraceQueueGrowing"), to_runbook("HeadraceQueueStuck")],
        ),
    ],
)

SPOOL = Row(
    "Spool",
    [
        lines(
            "Events in the spool",
            "Answered 200 and not yet in Kafka, by ingest. Nothing waits while Kafka acknowledges.",
            Query("sum by (instance) (headrace_ingest_spool_events)", "{{instance}}"),
            Query("max by (instance) (headrace_ingest_spools_damaged)", "damaged spools of {{instance}}"),
            links=[to_runbook("HeadraceSpoolFilling"), to_runbook("HeadraceSpoolDamaged")],
            nothing="no spool",
        ),
        lines(
            "Into and out of the spool",
            "Events that went into the spool, came out of it into Kafka, and found no place in it (503), a second.",
            Query(f"sum(rate(headrace_ingest_spooled_total{WINDOW}))", "in"),
            Query(f"sum(rate(headrace_ingest_spool_published_total{WINDOW}))", "out"),
            Query(f"sum by (reason) (rate(headrace_ingest_spool_refused_total{WINDOW}))", "refused: {{reason}}"),
            unit="mps",
            links=[to_runbook("HeadraceSpoolFilling")],
            nothing="no spool",
        ),
        lines(
            "Oldest event in the spool",
            "For how long the oldest event has waited for Kafka.",
            Query("max by (instance) (headrace_ingest_spool_oldest_seconds)", "{{instance}}"),
            unit="s",
            links=[to_runbook("HeadraceSpoolNotDraining")],
            nothing="no spool",
        ),
        lines(
            "Used share of the spool",
            "Of events or bytes, whichever is nearer to its bound. The alert fires at one half.",
            Query('max by (instance) (headrace_capacity_used_ratio{resource="spool"})', "{{instance}}"),
            unit="percentunit",
            line_at=0.5,
            links=[to_runbook("HeadraceSpoolFilling")],
            nothing="no spool",
        ),
    ],
)

SECRETS = Row(
    "Secrets and reloads",
    [
        lines(
            "Secrets in use",
            "Requests by the secret that matched, where a source has several: its place in secret_env, from 1. One at"
            " which nothing arrives any more can be taken out.",
            Query(
                f"sum by (source, position) (rate(headrace_ingest_secret_matches_total{{{SOURCE}}}{WINDOW}))"
                " and on (source) count by (source) (sum by (source, position)"
                f" (increase(headrace_ingest_secret_matches_total{{{SOURCE}}}{WHOLE_RANGE}))) > 1",
                "{{source}}, secret {{position}}",
            ),
            unit="reqps",
            data_links=[to_source()],
            nothing="no rotation",
        ),
        lines(
            "Reloads",
            "Reloads that were asked for, and what became of them. After a refused one it goes on with what it had.",
            Query(f"sum by (outcome) (increase(headrace_ingest_reloads_total{WINDOW}))", "{{outcome}}"),
            links=[to_runbook("HeadraceReloadRefused")],
        ),
    ],
)

EACH = Row(
    "Source $source",
    [
        lines(
            "Posts by outcome: $source",
            "Every request to this source and how it was answered.",
            Query(f"sum by (outcome) (rate({REQUESTS}{{{SOURCE}}}{WINDOW}))", "{{outcome}}"),
            unit="reqps",
            stacked=True,
            width=8,
        ),
        lines(
            "Answer time: $source",
            "From a request's headers to its answer. A post above the line at 200 ms misses the objective.",
            Query(quantile(0.5, "headrace_ingest_request_seconds", SOURCE), "p50"),
            Query(quantile(0.99, "headrace_ingest_request_seconds", SOURCE), "p99"),
            unit="s",
            line_at=0.2,
            width=8,
        ),
        lines(
            "After acceptance: $source",
            "What fan-out made of this source's events.",
            Query(f"sum by (outcome) (rate(headrace_events_total{{{SOURCE}}}{WINDOW}))", "{{outcome}}"),
            unit="mps",
            stacked=True,
            width=8,
        ),
    ],
    repeat="source",
)

PAGE = Page(
    links.INGEST,
    "Ingest",
    "What producers post: how much, how fast it is answered, what is refused and why.",
    [NOW, POSTS, TIME, OBJECTIVES, LIMITS, SPOOL, SECRETS, EACH],
    [variables.source()],
)
