"""Sign an event as its provider would, and post it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

import click

from headrace.context import Settings
from headrace.first_secrets import SIGNING_KEY_SUFFIX
from headrace.options import with_settings

if TYPE_CHECKING:
    from headrace.sending import Sent
    from ingest.sources import Source


@click.command
@click.argument("source_name", metavar="SOURCE")
@click.argument("file", type=click.File("rb"), required=False)
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="Where ingest is.")
@click.option("--count", default=1, show_default=True, type=click.IntRange(1, 10_000_000), help="How many to send.")
@click.option("--rate", help="How many a second (10), or 10/s, 100/m, 1000/h.")
@click.option("--id", "event_id", help="The event's id; with --count, -1, -2 and so on is added.")
@click.option("--content-type", help="What FILE holds; JSON, if nothing is said.")
@with_settings
@click.pass_context
def command(
    ctx: click.Context,
    settings: Settings,
    *,
    source_name: str,
    file: IO[bytes] | None,
    url: str,
    count: int,
    rate: str | None,
    event_id: str | None,
    content_type: str | None,
) -> None:
    """Sign FILE (- for standard input; without it a small sample) as SOURCE's provider would, and post it.

    Prints the receipt of each event. With --count each has an id of its own: in a header, or in the field of a JSON
    body that the source takes it from. Where the provider signs with a private key, one of your own is read from the
    variable of the secret with _SIGNING_KEY added; `headrace run` makes up both for trying out.
    """
    from headrace.live_sources import live_source
    from headrace.sending import Shipment, send
    from streams.event import OWN_SOURCE, SCHEDULES_SOURCE

    table = settings.table()
    sources = table.sources
    if source_name == OWN_SOURCE:
        refusal = "what Headrace tells by itself, nobody can post it; `headrace try headrace FILE` rehearses its routes"
        raise click.UsageError(f"the source {OWN_SOURCE!r} is {refusal}", ctx)
    if source_name == SCHEDULES_SOURCE:
        refusal = "what schedules make, nobody can post it; `headrace schedules run NAME` makes one now"
        raise click.UsageError(f"the source {SCHEDULES_SOURCE!r} is {refusal}", ctx)
    if source_name not in sources:
        raise click.UsageError(f"there is no source {source_name!r} (known: {', '.join(sources)})", ctx)
    source = live_source(settings, table, source_name)
    shipment = Shipment(
        source,
        _target(ctx, url, source_name),
        file.read() if file is not None else None,
        content_type,
        _signing_key(settings, source),
        count,
        _rate_per_s(ctx, rate),
        event_id,
    )
    with _progress(count) as advance:

        def report(sent: Sent) -> None:
            click.echo(sent.receipt or "handshake answered")
            advance()

        asyncio.run(send(shipment, on_sent=report))


def _signing_key(settings: Settings, source: Source) -> bytes | None:
    names = source.settings.secret_envs
    if source.scheme.make_keys is None or not names:
        return None
    key = settings.secret(f"{names[0]}{SIGNING_KEY_SUFFIX}")
    return key.encode() if key else None


def _target(ctx: click.Context, url: str, source_name: str) -> str:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid:
        raise click.UsageError(f"--url {url!r} is no http address", ctx)
    return f"{url.rstrip('/')}/webhook/{source_name}" if parts.path in ("", "/") else url


def _rate_per_s(ctx: click.Context, rate: str | None) -> float | None:
    from ingest.rate import parse_rate

    if rate is None:
        return None
    try:
        return parse_rate(rate if "/" in rate else f"{rate}/s")
    except ValueError as error:
        raise click.UsageError(str(error), ctx) from error


@contextlib.contextmanager
def _progress(count: int) -> Iterator[Callable[[], None]]:
    """Yield what to call for each event; a bar is drawn for many, on a terminal, below the receipts."""
    if count == 1 or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), redirect_stdout=sys.stdout.isatty()) as progress:
        task = progress.add_task("sending", total=count)
        yield lambda: progress.advance(task)
