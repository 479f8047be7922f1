"""Show, replay or discard the outstanding dead letters."""

from __future__ import annotations

import asyncio
import functools
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import click

from headrace.command_group import CommandGroup
from headrace.context import Settings
from headrace.options import with_settings
from headrace.times import Moment

NOTHING = "no outstanding dead letter is selected"
NONE = "there are no outstanding dead letters"


@click.group(cls=CommandGroup)
def command() -> None:
    """Show, replay or discard the outstanding dead letters."""


class Rate(click.ParamType):
    """A number a second, such as ``50/s``."""

    name = "rate"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return letters a second."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(?:/s)?", str(value), re.ASCII)
        if match is None or float(match[1]) <= 0:
            self.fail(f"{value!r} is not a rate such as 50/s", param, ctx)
        return float(match[1])


def selecting(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select letters; the command gets them as one ``selection``."""

    @functools.wraps(function)
    def wrapped(*args: Any, **options: Any) -> Any:
        from streams.letters import Selection

        selection = Selection(
            source=options.pop("source"),
            route=options.pop("route"),
            destination=options.pop("destination"),
            error=options.pop("error"),
            since_ms=options.pop("since"),
            until_ms=options.pop("until"),
            id=options.pop("id"),
            limit=options.pop("limit"),
        )
        return function(*args, selection=selection, **options)

    for option in (
        click.option("--limit", type=click.IntRange(1), help="At most this many, the oldest failures first."),
        click.option("--id", help="This letter: its id, or the beginning of it."),
        click.option("--until", type=Moment(), help="Failed before this time, or longer ago than this age."),
        click.option("--since", type=Moment(), help="Failed at this time or later, or within this age: 2h, 3d."),
        click.option("--error", help="Error class or message holds this text."),
        click.option("--destination", help="Of this destination."),
        click.option("--route", help="Of this route."),
        click.option("--source", help="Of this source."),
    ):
        wrapped = option(wrapped)
    return wrapped


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@selecting
@with_settings
def list_(settings: Settings, *, selection: Any, as_json: bool) -> None:
    """List the outstanding dead letters, oldest failure first."""
    from headrace.dlq import describe, read_letters

    letters = asyncio.run(read_letters(settings, selection))
    if as_json:
        _print_json([describe(stored) for stored in letters])
        return
    if not letters:
        click.echo(NONE if selection == type(selection)() else NOTHING)
        return
    from headrace.text_table import text_table

    header = ("ID", "LAST FAILURE", "ROUTE → DESTINATION", "CAUSE")
    for line in text_table(header, [_row(describe(stored)) for stored in letters]):
        click.echo(line)
    click.echo(f"{len(letters)} outstanding; `headrace dlq show ID` explains one, `headrace dlq replay` replays them")


def _row(letter: dict[str, Any]) -> tuple[str, ...]:
    """Return a line of the list: what `describe` says, cut to what a terminal has room for."""
    status = f" {letter['status']}" if letter["status"] else ""
    replaying = " (replaying)" if letter["state"] == "replaying" else ""
    item = f" item {letter['item']}" if letter["item"] is not None else ""
    way = f"{letter['route'] or '-'}{item} → {letter['destination'] or '-'}"
    cause = f"{letter['stage']}:{status} {_first_line(str(letter['message']), 100)}{replaying}"
    return str(letter["id"])[:16], str(letter["last_failure"]), way, cause


@command.command
@click.argument("letter_id", metavar="ID")
@click.option("--body", is_flag=True, help="Show the body too.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@with_settings
def show(settings: Settings, *, letter_id: str, body: bool, as_json: bool) -> None:
    """Show everything about one dead letter; ID is its id or the beginning of it."""
    from headrace.dlq import describe, read_body, read_letters
    from streams.delivery import FAILURES_HEADER
    from streams.letters import Selection

    async def read() -> tuple[list[Any], bytes | None]:
        letters = await read_letters(settings, Selection(id=letter_id))
        return letters, await read_body(settings, letters[0]) if body and len(letters) == 1 else None

    letters, raw = asyncio.run(read())
    if len(letters) != 1:
        many = f"{len(letters)} letters begin with {letter_id}: give more of the id"
        raise click.ClickException(many if letters else f"no outstanding dead letter {letter_id}")
    row = describe(letters[0])
    row["headers"] = {
        name: value.decode(errors="replace") for name, value in letters[0].letter.headers if name != FAILURES_HEADER
    }
    if raw is not None:
        row["body"] = raw.decode(errors="backslashreplace")
    if as_json:
        _print_json([row])
        return
    headers, text, attempts = row.pop("headers"), row.pop("body", None), row.pop("last_attempts")
    for name, value in row.items():
        if value not in (None, ""):
            click.echo(f"{name + ':':15}{value}")
    _print_attempts(attempts)
    click.echo("headers:")
    for name, value in dict(headers).items():  # type: ignore[call-overload]  # a dict by the line above
        click.echo(f"  {name}: {value}")
    if text is not None:
        click.echo(f"body:\n{text}")


def _print_attempts(attempts: Any) -> None:
    if attempts:
        click.echo("last attempts:")
    for attempt in attempts:
        click.echo(f"  {attempt['time']}  after {attempt['duration_s']:.3f} s: {_printable(attempt['error'])}")
        if attempt["excerpt"]:
            click.echo("    the answer began with:")
            for line in attempt["excerpt"].splitlines():
                click.echo(f"    | {_printable(line)}")


@command.command
@click.option("--dry-run", is_flag=True, help="Say what would be replayed, and do nothing.")
@click.option("--rate", type=Rate(), help="At most this many a second, such as 50/s.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a letter.")
@selecting
@with_settings
def replay(settings: Settings, *, selection: Any, dry_run: bool, rate: float | None, yes: bool, as_json: bool) -> None:
    """Put dead letters back into their destinations' queues, rendered by the routing table as it is now.

    A letter stays outstanding until its delivery has settled. Run it again at any time: no delivery that has
    settled, or is on its way, is replayed.
    """
    from headrace.dlq import describe, read_letters, replay_letters
    from streams.replay import REPLAYED, Result

    letters = asyncio.run(read_letters(settings, selection))
    rows = [describe(stored) for stored in letters]
    if not _go_on("replay", rows, dry_run=dry_run, yes=yes, as_json=as_json):
        return

    def fields(result: Result) -> tuple[str, str]:
        return result.letter_id, result.outcome

    counts = asyncio.run(
        _carry_out("replaying", len(letters), replay_letters(settings, selection, rate=rate), fields, as_json=as_json)
    )
    _summarize(counts, as_json=as_json)
    if counts and not counts[REPLAYED]:
        raise click.ClickException("none of the selected letters could be replayed")


@command.command
@click.option("--dry-run", is_flag=True, help="Say what would be discarded, and do nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a letter.")
@selecting
@with_settings
def discard(settings: Settings, *, selection: Any, dry_run: bool, yes: bool, as_json: bool) -> None:
    """End dead letters for good, without replaying them."""
    from headrace.dlq import describe, discard_letters, read_letters

    letters = asyncio.run(read_letters(settings, selection))
    rows = [describe(stored) for stored in letters]
    if not _go_on("discard", rows, dry_run=dry_run, yes=yes, as_json=as_json):
        return
    counts = asyncio.run(
        _carry_out(
            "discarding",
            len(letters),
            discard_letters(settings, letters),
            lambda letter_id: (letter_id, "discarded"),
            as_json=as_json,
        )
    )
    _summarize(counts, as_json=as_json)


class Age(click.ParamType):
    """An age such as ``30d``; gives the Unix milliseconds of that long ago."""

    name = "age"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the moment, or refuse what is no age."""
        if isinstance(value, int):
            return value
        if not re.fullmatch(r"[0-9]{1,6}[smhd]", str(value), re.ASCII):
            self.fail(f"{value!r} is not an age such as 12h or 30d", param, ctx)
        return Moment().convert(value, param, ctx)


@command.command
@click.option("--older-than", type=Age(), required=True, help="Failed longer ago than this age, such as 30d.")
@click.option("--dry-run", is_flag=True, help="Say what would be purged, and do nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a letter.")
@selecting
@with_settings
def purge(settings: Settings, *, selection: Any, older_than: int, dry_run: bool, yes: bool, as_json: bool) -> None:
    """End dead letters that nobody came for: those whose last failure is older than an age."""
    import dataclasses

    from headrace.dlq import describe, discard_letters, read_letters

    until_ms = older_than if selection.until_ms is None else min(older_than, selection.until_ms)
    letters = asyncio.run(read_letters(settings, dataclasses.replace(selection, until_ms=until_ms)))
    # One that is being replayed is not forgotten: its delivery is on its way.
    letters = [stored for stored in letters if stored.letter.claim is None]
    rows = [describe(stored) for stored in letters]
    if not _go_on("purge", rows, dry_run=dry_run, yes=yes, as_json=as_json):
        return
    purging = discard_letters(settings, letters)
    counts = asyncio.run(
        _carry_out("purging", len(letters), purging, lambda letter_id: (letter_id, "purged"), as_json=as_json)
    )
    _summarize(counts, as_json=as_json)


def _go_on(verb: str, rows: list[dict[str, Any]], *, dry_run: bool, yes: bool, as_json: bool) -> bool:
    """Return whether to act on the letters; says what there is, and asks where somebody can answer."""
    if not rows:
        if not as_json:
            click.echo(NOTHING)
        return False
    if dry_run:
        if as_json:
            _print_json(rows)
        else:
            by = Counter((row["route"], row["destination"], row["error"]) for row in rows)
            for (route, destination, error), count in by.most_common():
                click.echo(f"{count:8}  {route or '-'} → {destination or '-'}  {error}")
            click.echo(f"would {verb} {len(rows)}; nothing was done")
        return False
    if yes:
        return True
    if not sys.stdin.isatty():
        raise click.UsageError(f"{len(rows)} selected; without a terminal to ask on, say --yes to {verb} them")
    return click.confirm(f"{verb} {len(rows)} dead letter{'s' * (len(rows) != 1)}?")


async def _carry_out(
    doing: str,
    total: int,
    results: AsyncIterator[Any],
    fields: Callable[[Any], tuple[str, str]],
    *,
    as_json: bool,
) -> Counter[str]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    counts: Counter[str] = Counter()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(doing, total=total)
        async for result in results:
            letter_id, outcome = fields(result)
            counts[outcome] += 1
            bar.advance(task)
            if as_json:
                _print_json([{"id": letter_id, "result": outcome}])
    return counts


def _summarize(counts: Counter[str], *, as_json: bool) -> None:
    if not as_json:
        click.echo(", ".join(f"{count} {outcome}" for outcome, count in counts.most_common()) or NOTHING)


def _print_json(rows: list[Any]) -> None:
    import orjson

    for row in rows:
        click.echo(orjson.dumps(row).decode())


def _first_line(text: str, chars_max: int) -> str:
    line = text.partition("\n")[0]
    return line if len(line) <= chars_max else line[: chars_max - 1] + "…"


def _printable(text: str) -> str:
    """Return text without control characters: what a service answered must not steer the terminal."""
    return "".join(character if character.isprintable() else " " for character in text)
