"""Accept webhooks: verify each, keep it in Kafka, and answer."""

from __future__ import annotations

import sys

import click

from headrace.context import Settings
from headrace.hangup import hold_hangups
from headrace.options import with_settings

_PORT = click.IntRange(0, 65535)


@click.command
@click.option("--host", default="0.0.0.0", show_default=True, help="Address of the public port.")  # noqa: S104
@click.option("--port", default=8080, show_default=True, type=_PORT, help="Where events are posted.")
@click.option("--admin-host", default="127.0.0.1", show_default=True, help="Address of the admin pages.")
@click.option("--admin-port", default=8081, show_default=True, type=_PORT, help="Port of the admin pages.")
@click.option(
    "--ingest-processes",
    default=1,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Processes that share the public port.",
)
@click.option(
    "--in-flight-max",
    default=1000,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="Requests that one process answers at once; beyond it the answer is 503.",
)
@click.option(
    "--drain-notice-s",
    default=2.0,
    show_default=True,
    type=click.FloatRange(0, 60),
    help="How long to go on accepting after SIGTERM, while /readyz already says no.",
)
@with_settings
def command(
    settings: Settings,
    *,
    host: str,
    port: int,
    admin_host: str,
    admin_port: int,
    ingest_processes: int,
    in_flight_max: int,
    drain_notice_s: float,
) -> None:
    """Accept webhooks until SIGTERM: verify each, keep it in Kafka, and answer.

    SIGHUP reloads the routing table and the secrets, all or nothing; fan-out takes a new source after its restart.
    """
    hold_hangups()  # one that comes during the start is obeyed at its end
    from headrace import event_loop
    from headrace.ingest_command import run_ingest
    from headrace.ingest_process import IngestOptions

    options = IngestOptions(host, port, admin_host, admin_port, ingest_processes, in_flight_max, drain_notice_s)
    sys.exit(event_loop.run(run_ingest(settings, options)))
