"""Show one event from the log, and what became of each of its deliveries."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from headrace.context import Settings
from headrace.options import with_settings
from headrace.times import Moment


@click.command
@click.argument("address", nargs=-1, required=True, metavar="RECEIPT | SOURCE ID")
@click.option("--since", type=Moment(), help="With SOURCE ID: accepted at this time or later, or within this age.")
@click.option("--body", is_flag=True, help="Show the body too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object an event.")
@with_settings
def command(settings: Settings, *, address: tuple[str, ...], since: int | None, body: bool, as_json: bool) -> None:
    """Show one event from the log, and what became of each of its deliveries.

    RECEIPT is what the answer to the webhook said, such as github/3/18273. SOURCE and ID find an event by the
    provider's id, which reads the source's whole topic, or what of it --since leaves.
    """
    if len(address) > 2:
        raise click.UsageError("give a RECEIPT, or a SOURCE and an ID")
    rows = asyncio.run(_rows(settings, address, since_ms=since, body=body))
    if as_json:
        import orjson

        for row in rows:
            click.echo(orjson.dumps(row).decode())
        return
    for row in rows:
        _print(row)


async def _rows(
    settings: Settings, address: tuple[str, ...], *, since_ms: int | None, body: bool
) -> list[dict[str, Any]]:
    from headrace.event import describe_event
    from streams.event import Receipt
    from streams.history import NoSuchEvent, find_events, read_event

    kafka, names = settings.kafka(), settings.topic_names
    if len(address) == 1:
        try:
            receipt = Receipt.parse(address[0])
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        found = [await read_event(kafka, names, receipt)]
    else:
        source, event_id = address
        found = [one async for one in find_events(kafka, names, source, event_id, since_ms=since_ms)]
        if not found:
            raise NoSuchEvent(f"the log of {source} holds no event {event_id}")
    return [await describe_event(settings, one, body=body) for one in found]


def _print(row: dict[str, Any]) -> None:
    for name in ("receipt", "source", "id", "type", "accepted", "content_type", "body_bytes"):
        click.echo(f"{name + ':':14}{row[name]}")
    for name, value in row["headers"].items():
        click.echo(f"  {name}: {value}")
    if "body" in row:
        click.echo(f"body:\n{row['body']}")
    click.echo("deliveries:" if row["deliveries"] else "deliveries: none (no route matched, or not yet fanned out)")
    for delivery in row["deliveries"]:
        status = f", status {delivery['status']}" if delivery.get("status") else ""
        when = f" at {delivery['time']}" if delivery.get("time") else ""
        item = f" item {delivery['item']}" if delivery.get("item") is not None else ""
        click.echo(f"  {delivery['route']}{item} → {delivery['destination']}: {delivery['outcome']}{when}{status}")
        if delivery.get("detail"):
            click.echo(f"    {delivery['detail']}")
