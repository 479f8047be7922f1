"""Kafka and worker: the log, its consumer groups, the tables, and the processes."""

from __future__ import annotations

from ops.grafana import links, variables
from ops.grafana.colors import BAD, GOOD, WAITING
from ops.grafana.links import to_runbook
from ops.grafana.page import Page, Row
from ops.grafana.panels import (
    ANY_IS_BAD,
    CAPACITY,
    NONE_IS_BAD,
    YES_NO,
    bars,
    lines,
    number,
    states,
)
from ops.grafana.query import WHOLE_RANGE, WINDOW, Query, quantile

PROCESS = 'job=~"headrace-.*", instance=~"$instance"'
INSTANCE = 'instance=~"$instance"'
COMMIT = "headrace_commit_seconds"
TICKS, LATENESS = "headrace_schedule_ticks_total", "headrace_schedule_lateness_seconds"

NOW = Row(
    "Now",
    [
        number(
            "Kafka",
            "Whether every process of Headrace reaches Kafka.",
            "min(headrace_kafka_up)",
            words=YES_NO,
            links=[to_runbook("HeadraceKafkaDown")],
        ),
        number(
            "Brokers",
            "Brokers that are alive.",
            "max(headrace_kafka_brokers)",
            steps=NONE_IS_BAD,
            links=[to_runbook("HeadraceKafkaBrokerMissing")],
        ),
        number(
            "Under-replicated",
            "Partitions of Headrace's topics with fewer replicas in sync than they have: one failure nearer to a loss.",
            "max(headrace_kafka_under_replicated_partitions)",
            steps=ANY_IS_BAD,
            links=[to_runbook("HeadraceKafkaUnderReplicated")],
        ),
        number(
            "Offline",
            "Partitions of Headrace's topics without a leader: nothing can be written to or read from them.",
            "max(headrace_kafka_offline_partitions)",
            steps=ANY_IS_BAD,
            links=[to_runbook("HeadraceKafkaUnderReplicated")],
        ),
        number(
            "Workers ready",
            "Workers that have their tables and take deliveries.",
            "sum(headrace_worker_ready)",
            steps=NONE_IS_BAD,
            links=[to_runbook("HeadraceWorkerNotReady")],
        ),
        number(
            "Waiting",
            "Records in all queues.",
            "sum(max by (topic) (headrace_queue_depth))",
            graph=True,
            links=[to_runbook("HeadraceQueueGrowing")],
        ),
        number(
            "Commits failed",
            "Offset commits of this time that failed. A few at a rebalance are usual; what was not committed is"
            " repeated after a crash.",
            "sum(increase(headrace_commit_failures_total[$__range]))",
            decimals=0,
            steps=[(None, GOOD), (1, WAITING), (100, BAD)],
            links=[to_runbook("HeadraceCommitsFailing")],
        ),
        number(
            "Rebalances",
            "Assignments that the groups gave to workers in this time: a few at each start or stop of a worker.",
            "sum(increase(headrace_rebalances_total[$__range]))",
            decimals=0,
            links=[to_runbook("HeadraceRebalancing")],
        ),
    ],
)

LOG = Row(
    "Log",
    [
        lines(
            "Depth by topic",
            "Records not yet settled: the consumer group's lag, less what is settled beyond it. The ten fullest.",
            Query(
                "max by (topic) (headrace_queue_depth)"
                f" and topk(10, max by (topic) (max_over_time(headrace_queue_depth{WHOLE_RANGE})))",
                "{{topic}}",
            ),
            links=[to_runbook("HeadraceQueueGrowing"), to_runbook("HeadraceQueueStuck")],
        ),
        lines(
            "Growth of depth by topic",
            "Records a second by which a queue grows, below 0 by which it shrinks; the ten fullest topics.",
            Query(
                f"max by (topic) (deriv(headrace_queue_depth{WINDOW}))"
                f" and topk(10, max by (topic) (max_over_time(headrace_queue_depth{WHOLE_RANGE})))",
                "{{topic}}",
            ),
            unit="mps",
            links=[to_runbook("HeadraceQueueGrowing")],
            from_zero=False,
        ),
        bars(
            "Depth as a share of its mark",
            "HEADRACE_QUEUE_DEPTH_MAX is a mark for alerts, not a limit; the fifteen fullest.",
            Query(
                'topk(15, max by (resource) (headrace_capacity_used_ratio{resource=~"queue:.+"}))',
                "{{resource}}",
                instant=True,
            ),
            unit="percentunit",
            steps=CAPACITY,
            top=1,
            links=[to_runbook("HeadraceCapacityHigh")],
        ),
        lines(
            "Brokers and replicas",
            "Brokers that are alive, and partitions that are not fully replicated or have no leader.",
            Query("max(headrace_kafka_brokers)", "brokers"),
            Query("max(headrace_kafka_under_replicated_partitions)", "under-replicated partitions"),
            Query("max(headrace_kafka_offline_partitions)", "offline partitions"),
            links=[to_runbook("HeadraceKafkaBrokerMissing"), to_runbook("HeadraceKafkaUnderReplicated")],
        ),
        states(
            "Reaches Kafka",
            "Each process's last look at Kafka. One alone DOWN: its network. All DOWN: Kafka.",
            Query(f"min by (job, instance) (headrace_kafka_up{{{INSTANCE}}})", "{{job}} {{instance}}"),
            words=YES_NO,
            links=[to_runbook("HeadraceKafkaDown")],
            width=12,
        ),
        lines(
            "Records waiting in producers",
            "Records handed to a producer and not yet acknowledged by Kafka, the most of any process.",
            Query(f"max by (producer) (headrace_producer_queue_records{{{INSTANCE}}})", "{{producer}}"),
        ),
    ],
)

GROUPS = Row(
    "Consumer groups",
    [
        lines(
            "Commits by group, p99",
            "How long an offset commit takes, the ten slowest groups: usually a few milliseconds. Slow commits mean"
            " more repeats after a crash.",
            Query(
                f"histogram_quantile(0.99, sum by (group, le) (rate({COMMIT}_bucket{WINDOW})))"
                " and topk(10, histogram_quantile(0.99, sum by (group, le)"
                f" (increase({COMMIT}_bucket{WHOLE_RANGE}))))",
                "{{group}}",
            ),
            unit="s",
        ),
        lines(
            "Failed commits by group",
            "Commits that Kafka refused or that timed out. Counted over each step of the graph.",
            Query(f"sum by (group) (increase(headrace_commit_failures_total{WINDOW}))", "{{group}}"),
            links=[to_runbook("HeadraceCommitsFailing")],
            nothing="none failed",
        ),
        lines(
            "Rebalances by group",
            "Assignments given to workers. Again and again without a deployment: a worker that misses its heartbeats."
            " Counted over each step of the graph.",
            Query(f"sum by (group) (increase(headrace_rebalances_total{WINDOW}))", "{{group}}"),
            links=[to_runbook("HeadraceRebalancing")],
        ),
        lines(
            "Assigned partitions by group",
            "The sum over all workers: the partitions of the group's topics, or some are worked on by nobody.",
            Query("sum by (group) (headrace_assigned_partitions)", "{{group}}"),
            links=[to_runbook("HeadraceQueueStuck")],
        ),
        lines(
            "Assigned partitions by worker",
            "How the work is spread.",
            Query(f"sum by (instance) (headrace_assigned_partitions{{{INSTANCE}}})", "{{instance}}"),
        ),
        lines(
            "Accepted to fanned out",
            "How far fan-out is behind.",
            Query(
                f"histogram_quantile(0.5, sum by (le) (rate(headrace_fan_out_seconds_bucket{{{INSTANCE}}}{WINDOW})))",
                "p50",
            ),
            Query(
                f"histogram_quantile(0.99, sum by (le) (rate(headrace_fan_out_seconds_bucket{{{INSTANCE}}}{WINDOW})))",
                "p99",
            ),
            unit="s",
        ),
    ],
)

TABLES = Row(
    "Table of seen events",
    [
        states(
            "Recovering",
            "Whether a worker reads its part of the table back from the changelog. Meanwhile it fans nothing out.",
            Query(f"max by (instance) (headrace_table_recovering{{{INSTANCE}}})", "{{instance}}"),
            words={"0": ("ready", GOOD), "1": ("recovering", WAITING)},
            links=[to_runbook("HeadraceTableRecoverySlow")],
            width=12,
        ),
        lines(
            "Left to recover",
            "Records of the changelog that are still to be read.",
            Query(f"sum by (instance) (headrace_table_recovery_remaining_records{{{INSTANCE}}})", "{{instance}}"),
            links=[to_runbook("HeadraceTableRecoverySlow")],
            height=7,
        ),
        lines(
            "Recovered",
            "Records read back from the changelog a second. With the local disk intact this is little.",
            Query(
                f"sum by (instance) (rate(headrace_table_recovered_records_total{{{INSTANCE}}}{WINDOW}))",
                "{{instance}}",
            ),
            unit="mps",
            width=6,
        ),
        lines(
            "Duration of the last recovery",
            "How long fan-out stood still at the last assignment.",
            Query(f"max by (instance) (headrace_table_recovery_seconds{{{INSTANCE}}})", "{{instance}}"),
            unit="s",
            width=6,
        ),
        lines(
            "Size on disk",
            "What the table takes on each worker's disk.",
            Query(f"sum by (instance) (headrace_table_bytes{{{INSTANCE}}})", "{{instance}}"),
            unit="bytes",
            width=6,
            links=[to_runbook("HeadraceDiskFilling")],
        ),
        lines(
            "Rows",
            "Events that are remembered so that a repeat is dropped; RocksDB's estimate.",
            Query(f"sum by (instance) (headrace_table_rows{{{INSTANCE}}})", "{{instance}}"),
            width=6,
        ),
    ],
)

PROCESSES = Row(
    "Processes",
    [
        lines(
            "Memory",
            "Resident memory of each process.",
            Query(f"process_resident_memory_bytes{{{PROCESS}}}", "{{job}} {{instance}}"),
            unit="bytes",
        ),
        lines(
            "CPU",
            "Processors used. A process of Headrace uses one at most: near 1 it is the limit; add a process.",
            Query(f"rate(process_cpu_seconds_total{{{PROCESS}}}{WINDOW})", "{{job}} {{instance}}"),
        ),
        lines(
            "Open files",
            "Share of the open files that the process may have.",
            Query(f"process_open_fds{{{PROCESS}}} / process_max_fds{{{PROCESS}}}", "{{job}} {{instance}}"),
            unit="percentunit",
            line_at=0.8,
            links=[to_runbook("HeadraceCapacityHigh")],
            width=8,
        ),
        lines(
            "Reloads of workers",
            "Reloads that were asked for, and what became of them. After a refused one a worker goes on with what it"
            " had.",
            Query(f"sum by (outcome) (increase(headrace_worker_reloads_total{{{INSTANCE}}}{WINDOW}))", "{{outcome}}"),
            links=[to_runbook("HeadraceReloadRefused")],
            width=8,
        ),
        lines(
            "Running for",
            "Time since each process began. Back to 0 without a deployment: it died and was started again.",
            Query(f"time() - process_start_time_seconds{{{PROCESS}}}", "{{job}} {{instance}}"),
            unit="s",
            links=[to_runbook("HeadraceRestarting")],
            width=8,
        ),
        lines(
            "Disk and fan-out",
            "The disk that holds the data directory, the open files, and the events that fan-out has in work, as shares"
            " of their limits.",
            Query(
                'max by (resource) (headrace_capacity_used_ratio{resource=~"disk|open_files|fan_out_in_work"})',
                "{{resource}}",
            ),
            unit="percentunit",
            line_at=0.8,
            links=[to_runbook("HeadraceDiskFilling"), to_runbook("HeadraceCapacityHigh")],
        ),
        states(
            "Answers Prometheus",
            "Whether each process can be scraped.",
            Query(f"max by (job, instance) (up{{{PROCESS}}})", "{{job}} {{instance}}"),
            words=YES_NO,
            links=[to_runbook("HeadraceTargetDown"), to_runbook("HeadraceAbsent")],
            width=12,
            height=8,
        ),
    ],
)

SCHEDULES = Row(
    "Schedules",
    [
        lines(
            "Lateness of schedules, p99",
            "From when a schedule was due until Kafka had its event; the ten latest. What is caught up after workers"
            " were down is late by that.",
            Query(
                f"{quantile(0.99, LATENESS, '', 'schedule')}"
                " and topk(10, histogram_quantile(0.99, sum by (schedule, le)"
                f" (increase({LATENESS}_bucket{WHOLE_RANGE}))))",
                "{{schedule}}",
            ),
            unit="s",
            links=[to_runbook("HeadraceScheduleLate")],
            nothing="nothing was due",
            width=8,
        ),
        lines(
            "Ticks",
            "Events that schedules made, a second.",
            Query(f'sum(rate({TICKS}{{outcome="fired"}}{WINDOW}))', "fired"),
            unit="mps",
            nothing="no schedules",
            width=8,
        ),
        lines(
            "Missed ticks by schedule",
            "Due times that passed while no worker ran and that catch_up does not make up for. Counted over each step"
            " of the graph.",
            Query(f'sum by (schedule) (increase({TICKS}{{outcome="missed"}}{WINDOW}))', "{{schedule}}"),
            links=[to_runbook("HeadraceScheduleMissed")],
            nothing="no schedules",
            width=8,
        ),
    ],
)

PAGE = Page(
    links.KAFKA,
    "Kafka and worker",
    "The log and its consumer groups, the table of seen events, and the processes.",
    [NOW, LOG, GROUPS, TABLES, SCHEDULES, PROCESSES],
    [variables.instance()],
)
