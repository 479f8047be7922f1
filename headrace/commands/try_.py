"""Show which routes match an event, and each rendered action; nothing is sent."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, BinaryIO

import click

from headrace.context import Settings
from headrace.options import with_settings

if TYPE_CHECKING:
    from headrace.rehearsal import Rehearsed
    from headrace.sample import Sample

_MARKS = {"matched": "✓", "unmatched": "-", "failed": "✗"}


@click.command()
@click.argument("source")
@click.argument("file", type=click.File("rb"))
@click.option("--type", "event_type", help="The event's type, where the file does not tell it.")
@click.option("--header", "headers", multiple=True, metavar="NAME=VALUE", help="A header of the request; repeatable.")
@click.option("--content-type", help="The body's content type; without one it is read as JSON.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a route.")
@with_settings
def command(
    settings: Settings,
    source: str,
    file: BinaryIO,
    event_type: str | None,
    headers: tuple[str, ...],
    content_type: str | None,
    as_json: bool,
) -> None:
    """Show which routes match the event in FILE, and each rendered action; nothing is sent.

    FILE (- for stdin) holds a body, or a captured request {"headers": …, "body": …} as `headrace verify` reads it;
    its signature is not looked at. A batch is shown event by event. Secrets are masked. Ends with 1 if a condition or
    a mapping fails.
    """
    from headrace.mistakes import closest
    from headrace.rehearsal import FAILED, rehearse, secrets_that_are_set
    from headrace.sample import read_request, sample_events, sample_own_event, sample_tick
    from streams.event import OWN_SOURCE, SCHEDULES_SOURCE

    table = settings.table()
    now_ms = round(time.time() * 1000)
    if source == OWN_SOURCE:
        samples = [sample_own_event(file.read(), event_type=event_type, now_ms=now_ms)]
    elif source in table.sources:
        request = read_request(file.read(), _headers(headers, content_type))
        samples = sample_events(source, table.sources[source], request, event_type=event_type, now_ms=now_ms)
    elif source == SCHEDULES_SOURCE and table.schedules:
        samples = [sample_tick(table.compiled_schedules(), file.read(), event_type=event_type, now_ms=now_ms)]
    else:
        raise click.UsageError(f"there is no source {source!r}: {closest(source, table.dedup_ttl_s)}")
    secrets, failed = secrets_that_are_set(settings, table), False
    for sample in samples:
        results = rehearse(table, sample.event, secrets=secrets)
        failed = failed or any(result.verdict == FAILED for result in results)
        if as_json:
            _print_json(results, {"event_id": sample.event.id} if len(samples) > 1 else {})
        else:
            _print_text(sample, results)
    if not samples and not as_json:
        click.echo("an empty batch: ingest accepts it, and there is no event")
    if failed:
        raise click.exceptions.Exit(1)


def _headers(pairs: tuple[str, ...], content_type: str | None) -> dict[str, str]:
    headers = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise click.UsageError(f"--header takes NAME=VALUE, not {pair!r}")
        headers[name.strip().lower()] = value.strip()
    return headers if content_type is None else {**headers, "content-type": content_type}


def _print_json(results: list[Rehearsed], about: dict[str, str]) -> None:
    import orjson

    for result in results:
        click.echo(orjson.dumps({**about, **asdict(result)}, option=orjson.OPT_NON_STR_KEYS).decode())


def _print_text(sample: Sample, results: list[Rehearsed]) -> None:
    import orjson

    event = sample.event
    click.echo(f"event {event.id} of type {event.type}, source {event.source}")
    if sample.note:
        click.echo(f"  note: {sample.note}")
    if sample.handshake:
        click.echo("  note: this is a handshake: ingest answers it, and no route sees it")
    for result in results:
        reason = f": {result.reason}" if result.reason else ""
        item = f" item {result.item}" if result.item is not None else ""
        click.echo(f"{_MARKS[result.verdict]} {result.route}{item} → {result.action}{reason}")
        if result.parameters is not None:
            text = orjson.dumps(result.parameters, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode()
            click.echo("\n".join(f"    {line}" for line in text.splitlines()))
