"""Look at all that a part needs: what is wrong, and what to do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from headrace.commands.health import reachable
from headrace.context import Settings
from headrace.options import with_settings

if TYPE_CHECKING:
    from headrace.doctor.finding import Finding

_PORT = click.IntRange(1, 65535)


@click.command
@click.option("--port", default=8080, show_default=True, type=_PORT, help="The public port of ingest.")
@click.option(
    "--admin-port",
    multiple=True,
    default=(8081, 8082),
    show_default=True,
    type=_PORT,
    help="An admin port to look at; give it once for each part on this machine.",
)
@click.option("--admin-host", default="127.0.0.1", show_default=True, help="Address of the admin pages.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_settings
def command(settings: Settings, *, port: int, admin_port: tuple[int, ...], admin_host: str, as_json: bool) -> None:
    """Look at all that a part needs: Python, limits, table, secrets, disk, clock, ports, Kafka and its topics.

    Each line begins with ok, warning or error; what is not ok says what to do. It changes nothing. Ends with 1 if
    there is an error, else with 0. Run it as the user, and with the environment, of the part in question.
    """
    click.get_current_context().exit(
        asyncio.run(_report(settings, port, admin_port, reachable(admin_host), as_json=as_json))
    )


async def _report(
    settings: Settings, port: int, admin_ports: tuple[int, ...], admin_host: str, *, as_json: bool
) -> int:
    failed = False
    async for finding in examine(settings, port, admin_ports, admin_host):
        click.echo(json.dumps(asdict(finding)) if as_json else str(finding))
        failed = failed or finding.level == "error"
    return int(failed)


async def examine(
    settings: Settings, port: int, admin_ports: tuple[int, ...], admin_host: str
) -> AsyncIterator[Finding]:
    """Yield every finding, what is near first."""
    from headrace.doctor.cluster import cluster_findings
    from headrace.doctor.interpreter import interpreter_findings
    from headrace.doctor.machine import clock_finding, disk_findings, port_findings
    from headrace.doctor.spool import spool_findings
    from headrace.doctor.table import secret_findings, setting_findings, table_findings

    embedded = settings.kafka_bootstrap_servers is None
    table, about_table = table_findings(settings)
    connectors = {one.connector for one in table.destinations.values()} if table else set()
    for finding in interpreter_findings(connectors, embedded=embedded):
        yield finding
    for finding in about_table:
        yield finding
    for finding in setting_findings(settings, table):
        yield finding
    if table is not None:
        for finding in secret_findings(settings, table, embedded=embedded):
            yield finding
    for finding in disk_findings(settings.data_dir):
        yield finding
    if table is not None:
        for finding in spool_findings(settings.data_dir, table.ingest.spool_settings):
            yield finding
    yield clock_finding()
    for finding in port_findings(port, admin_ports, admin_host=admin_host):
        yield finding
    if not settings.kafka_mistakes():
        async for finding in cluster_findings(settings, table, embedded=embedded):
            yield finding
