"""Erase one customer's events by an expression, and say what remains until when."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import click

from headrace.context import Settings
from headrace.options import with_settings

if TYPE_CHECKING:
    from streams.erasure import Matches

NOTHING = "nothing in the log matches"


@click.command()
@click.option("--source", required=True, help="The source whose events are looked at.")
@click.option("--where", required=True, help='A condition as in a route\'s when, such as body.customer == "cus_123".')
@click.option("--dry-run", is_flag=True, help="Say what would be erased and what would remain, and do nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@with_settings
def command(settings: Settings, *, source: str, where: str, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Erase one customer's events by an expression: dead letters and outcomes at once, the rest as Kafka lets it go.

    Says what remains, where, and until when at the latest. Nothing of anybody else is deleted before its time, and what
    waits to be delivered still is.
    """
    from headrace.erase import find
    from headrace.mistakes import closest
    from streams.event import OWN_SOURCE
    from streams.expression import Expression, ExpressionError

    table = settings.table()
    if source not in (*table.sources, OWN_SOURCE):
        raise click.UsageError(f"there is no source {source!r}: {closest(source, table.sources)}")
    try:
        condition = Expression(where)
    except ExpressionError as error:
        raise click.UsageError(f"--where: {error}") from error
    matches = asyncio.run(find(settings, table, source, condition))
    erasable = len(matches.letters) + len(matches.outcomes)
    erased = 0
    if erasable and not dry_run and _may_erase(matches, yes=yes):
        erased = asyncio.run(_erase(settings, table, matches))
    asyncio.run(_report(settings, table, source, matches, erased=erased, as_json=as_json))


def _may_erase(matches: Matches, *, yes: bool) -> bool:
    what = f"{_counted(len(matches.letters), 'dead letter')} and {_counted(len(matches.outcomes), 'outcome')}"
    if yes:
        return True
    if not sys.stdin.isatty():
        raise click.UsageError(f"found {what}; without a terminal to ask on, say --yes to erase them")
    return click.confirm(f"erase {what}? Those deliveries can then not be replayed", err=True)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


async def _erase(settings: Settings, table: Any, matches: Matches) -> int:
    from headrace.erase import carry_out

    return sum([count async for count in carry_out(settings, table, matches)])


async def _report(settings: Settings, table: Any, source: str, matches: Matches, *, erased: int, as_json: bool) -> None:
    import orjson

    from headrace.erase import remaining

    rows = await remaining(settings, table, source, matches)
    if as_json:
        report = {
            "source": source,
            "events": matches.events,
            "dead_letters": len(matches.letters),
            "outcomes": len(matches.outcomes),
            "erased": erased,
            "undecided": matches.undecided,
            "unreadable_letters": matches.unreadable_letters,
            "remains": rows,
        }
        click.echo(orjson.dumps(report).decode())
        return
    if not matches:
        click.echo(NOTHING)
    else:
        events = _counted(matches.events, "event")
        letters, outcomes = _counted(len(matches.letters), "dead letter"), _counted(len(matches.outcomes), "outcome")
        result = f"{_counted(erased, 'record')} erased" if erased else "nothing was erased"
        click.echo(f"found {events}, {letters} and {outcomes}; {result}")
    for row in rows:
        until = f"until {row.until} at the latest" if row.until else "for a time that only Kafka and the queue decide"
        click.echo(f"remains  {row.place}: {row.records}, {until}: {row.why}")
    if matches.undecided:
        click.echo(f"{matches.undecided} records could not be judged by the condition, and were left alone", err=True)
    if matches.unreadable_letters:
        click.echo(
            f"{matches.unreadable_letters} dead letters of this source cannot be read by any condition: look at them"
            " with headrace dlq list, and end them with headrace dlq discard --id",
            err=True,
        )
