"""Say what Zapier would charge for this work, and what it costs here."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headrace.context import Settings
from headrace.options import with_settings
from headrace.times import Moment

if TYPE_CHECKING:
    from decimal import Decimal

    from headrace.cost import Measured

ADMIN_URLS = ("http://127.0.0.1:8081", "http://127.0.0.1:8082")


class Dollars(click.ParamType):
    """An amount such as ``24`` or ``24.50``."""

    name = "usd"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """Return ``value`` as an exact amount, or refuse it."""
        from headrace.pricing import parse_usd

        try:
            return parse_usd(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command
@click.option("--since", default="30d", show_default=True, type=Moment(), help="Count what settled since, until now.")
@click.option("--plan", type=click.Path(path_type=Path), help="Another table of prices; default: Zapier's.")
@click.option("--server-usd", type=Dollars(), help="What the server costs in a month.")
@click.option("--cores", type=click.IntRange(1, 4096), help="Processors of the deployment; default: this machine's.")
@click.option(
    "--admin-url",
    "admin_url",
    multiple=True,
    metavar="URL",
    help="Admin address of each part, several times; default: ingest and the first worker of headrace run.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@with_settings
def command(
    settings: Settings,
    *,
    since: int,
    plan: Path | None,
    server_usd: Decimal | None,
    cores: int | None,
    admin_url: tuple[str, ...],
    as_json: bool,
) -> None:
    """Say what Zapier would charge for this work, and what it costs here.

    A task is a delivery that settled, each counted once: filters, failures, shadowed deliveries, mirrors and
    Headrace's own events are none. Prices are in US dollars a month, without taxes.
    """
    from headrace.cost import report
    from headrace.price_table import read_pricing

    pricing = read_pricing(plan)
    until_ms = int(time.time() * 1000)
    if since >= until_ms:
        raise click.UsageError("--since is not in the past")
    urls = admin_url or ADMIN_URLS
    measured = asyncio.run(_measure(settings, since, until_ms, urls, cores or os.cpu_count() or 1))
    found = report(measured, pricing, server_usd)
    if as_json:
        import orjson

        click.echo(orjson.dumps(found).decode())
        return
    _print(found)


async def _measure(settings: Settings, since_ms: int, until_ms: int, urls: tuple[str, ...], cores: int) -> Measured:
    from headrace.cost import Measured
    from headrace.part_use import NoMetrics, PartUse, read_part
    from streams.event import OWN_SOURCE
    from streams.tasks import count_events, count_tasks

    def ask(url: str) -> PartUse | str:
        try:
            return read_part(url)
        except NoMetrics as error:
            return str(error)

    table = settings.table()
    kafka, names = settings.kafka(table), settings.topic_names
    sources = table.dedup_ttl_s.keys() - {OWN_SOURCE}
    return Measured(
        since_ms=since_ms,
        until_ms=until_ms,
        tasks=await count_tasks(kafka, names, since_ms=since_ms, until_ms=until_ms),
        events=await count_events(kafka, names, sources, since_ms=since_ms),
        parts={url: await asyncio.to_thread(ask, url) for url in urls},
        cores=cores,
        retention_s=settings.retention_outcomes_s,
    )


def _print(found: dict[str, Any]) -> None:
    from headrace.text_table import text_table

    click.echo(f"{found['since']} to {found['until']}: {found['events']:,} events, {found['tasks']:,} tasks")
    if found["routes"]:
        click.echo()
        for line in text_table(("ROUTE", "TASKS"), [(name, f"{n:,}") for name, n in found["routes"].items()]):
            click.echo(line)
    if found["not_counted"]:
        click.echo("no tasks: " + ", ".join(f"{n:,} {why}" for why, n in found["not_counted"].items()))
    zapier = found["zapier"]
    click.echo(f"\nZapier, {found['tasks_month']:,} tasks a month, prices of {zapier['date']}:\n")
    header = ("PLAN", "TIER", "OVERAGE", "TOTAL", "SAVED", "BREAK-EVEN")
    for line in text_table(header, [_plan_row(plan) for plan in zapier["plans"]]):
        click.echo(line)
    click.echo("\nHere:\n")
    for line in text_table(("WHAT", ""), _deployment_rows(found["deployment"])):
        click.echo(line)
    for note in found["notes"]:
        click.echo(f"note: {note}", err=True)


def _plan_row(plan: dict[str, Any]) -> tuple[str, ...]:
    even = plan["break_even_tasks"]
    break_even = "" if even is None else f"{even:,} tasks"
    if plan["total_usd"] is None:
        return plan["plan"], f"does not sell more than {plan['tasks_max']:,} tasks", "", "", "", break_even
    return (
        plan["plan"],
        f"{plan['tier_tasks']:,} for ${plan['tier_usd']:,.2f}",
        f"{plan['overage_tasks']:,} for ${plan['overage_usd']:,.2f}" if plan["overage_tasks"] else "none",
        f"${plan['total_usd']:,.2f}",
        "" if plan["saved_usd"] is None else f"{'-' if plan['saved_usd'] < 0 else ''}${abs(plan['saved_usd']):,.2f}",
        break_even,
    )


def _deployment_rows(here: dict[str, Any]) -> list[tuple[str, str]]:
    def shown(value: float | None, form: str, unknown: str = "not known") -> str:
        return unknown if value is None else form.format(value)

    return [
        ("server a month", shown(here["server_usd"], "${:,.2f}", "not told: --server-usd")),
        ("server per 1,000 tasks", shown(here["usd_per_1000_tasks"], "${:,.4f}")),
        ("processor per 1,000 tasks", shown(here["cpu_s_per_1000_tasks"], "{:,.3f} s, without Kafka")),
        (f"tasks a month on {here['cores']} cores at 70 %", shown(here["tasks_month_max"], "{:,}")),
        ("log per task", shown(here["bytes_per_task"], "{:,.0f} bytes before compression, one replica")),
    ]
