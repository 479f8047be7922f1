"""Run everything in one: Kafka, ingest and workers."""

from __future__ import annotations

import click

from headrace.context import Settings
from headrace.options import with_settings

_PORT = click.IntRange(1, 65535)


@click.command
@click.option("--port", default=8080, show_default=True, type=_PORT, help="Where events are posted.")
@click.option(
    "--admin-port",
    default=8081,
    show_default=True,
    type=_PORT,
    help="Metrics and health of ingest; worker i, from 0, has this port + 1 + i.",
)
@click.option("--kafka-port", default=9092, show_default=True, type=_PORT, help="Port of the embedded Kafka.")
@click.option(
    "--ingest-processes",
    default=1,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Processes that share the public port.",
)
@click.option("--workers", default=1, show_default=True, type=click.IntRange(0, 64), help="Worker processes.")
@click.option("--echo-port", type=_PORT, help="Also run a receiver here that logs and takes any call, for trying out.")
@with_settings
def command(
    settings: Settings,
    *,
    port: int,
    admin_port: int,
    kafka_port: int,
    ingest_processes: int,
    workers: int,
    echo_port: int | None,
) -> None:
    """Run everything in one, until Ctrl-C: Kafka, topics, ingest and workers.

    Kafka is the embedded one, with its data in the data directory, unless --kafka-bootstrap-servers names another.
    """
    from headrace.run import run
    from headrace.run_options import RunOptions

    run(settings, RunOptions(port, admin_port, kafka_port, ingest_processes, workers, echo_port))
