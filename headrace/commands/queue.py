"""Show or cancel the deliveries that wait for a destination."""

from __future__ import annotations

import asyncio
import getpass
import sys
from typing import Any

import click

from headrace.context import Settings
from headrace.options import with_settings
from headrace.times import Moment

NOTHING = "nothing that waits is selected"


@click.command
@click.argument("destination")
@click.argument("what", type=click.Choice(["list", "cancel"]))
@click.option("--source", help="Of this source.")
@click.option("--route", help="Of this route.")
@click.option("--since", type=Moment(), help="Accepted at this time or later, or within this age: 2h, 3d.")
@click.option("--until", type=Moment(), help="Accepted before this time, or longer ago than this age.")
@click.option("--id", help="This delivery: its id, or the beginning of it.")
@click.option("--limit", type=click.IntRange(1), help="At most this many, the oldest events first.")
@click.option("--reason", default="", help="Why it is cancelled; shown with its outcome.")
@click.option("--dry-run", is_flag=True, help="Say what would be cancelled, and do nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_settings
def command(settings: Settings, *, destination: str, what: str, **options: Any) -> None:
    """Show or cancel the deliveries that wait for DESTINATION, delayed ones and those in work included.

    A cancelled delivery is not called any more; its outcome is `skipped`, with the reason. A call that is in flight
    ends as it does. While the destination is paused or its circuit is open, the outcomes come when it goes on.
    """
    from headrace.queue import describe_waiting, list_waiting
    from streams.waiting import WaitingSelection

    selection = WaitingSelection(
        source=options["source"],
        route=options["route"],
        since_ms=options["since"],
        until_ms=options["until"],
        id=options["id"],
        limit=options["limit"],
    )
    waits = asyncio.run(list_waiting(settings, destination, selection))
    waiting, reason_of = waits.deliveries, waits.cancellations.reason
    if what == "cancel":
        waiting = [one for one in waiting if reason_of(one.delivery.id, one.delivery.replay) is None]
    rows = [describe_waiting(one, waits) for one in waiting]
    if what == "list" or options["dry_run"] or not rows:
        none = f"nothing waits for {destination}" if selection == WaitingSelection() else NOTHING
        _print(rows, none, as_json=options["as_json"])
        if what == "cancel" and rows and not options["as_json"]:
            click.echo(f"would cancel {len(rows)}; nothing was done")
        return
    if not options["yes"]:
        if not sys.stdin.isatty():
            raise click.UsageError(f"{len(rows)} selected; without a terminal to ask on, say --yes to cancel them")
        if not click.confirm(f"cancel {len(rows)} waiting deliver{'y' if len(rows) == 1 else 'ies'}?"):
            return
    reason = options["reason"] or f"cancelled by {getpass.getuser()}"
    count = asyncio.run(_cancel(settings, waiting, reason, as_json=options["as_json"]))
    if not options["as_json"]:
        click.echo(f"{count} cancelled")


async def _cancel(settings: Settings, waiting: list[Any], reason: str, *, as_json: bool) -> int:
    import orjson

    from headrace.queue import cancel

    count = 0
    async for delivery_id in cancel(settings, waiting, reason):
        count += 1
        if as_json:
            click.echo(orjson.dumps({"id": delivery_id, "result": "cancelled"}).decode())
    return count


def _print(rows: list[dict[str, Any]], none: str, *, as_json: bool) -> None:
    import orjson

    if as_json:
        for row in rows:
            click.echo(orjson.dumps(row).decode())
        return
    if not rows:
        click.echo(none)
        return
    for row in rows:
        item = f" item {row['item']}" if row["item"] is not None else ""
        due = f"  again at {row['due']}" if row["due"] else ""
        attempts = f"  {row['attempts']} attempts" if row["attempts"] else ""
        cancelled = f"  cancelled: {row['cancelled']}" if row["cancelled"] is not None else ""
        high = " (high)" if row["priority"] == "high" else ""
        click.echo(f"{row['id'][:16]}  {row['accepted']}  {row['route']}{item}{high}{attempts}{due}{cancelled}")
    destination, paused = rows[0]["destination"], rows[0]["paused"]
    click.echo(f"{len(rows)} wait{'s' if len(rows) == 1 else ''} for {destination}")
    if paused:
        click.echo(f"{paused}; `headrace resume {destination}` goes on")
