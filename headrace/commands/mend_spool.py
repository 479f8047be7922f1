"""Mend a damaged spool of ingest: keep a copy, then put together what can still be read."""

from __future__ import annotations

import shutil
import time

import click

from headrace.context import Settings
from headrace.options import with_settings


@click.command()
@click.argument("number", type=click.IntRange(min=0))
@with_settings
def command(settings: Settings, number: int) -> None:
    """Mend the spool NUMBER of the data directory, which ingest says it cannot open. Ingest may run.

    A copy is kept beside it first. What can be read is adopted and published by an ingest that runs here, within a
    minute; fan-out drops what was published before.
    """
    from headrace.ingest_spool import DIRECTORY
    from ingest.spool_place import claim_number
    from ingest.spool_store import SpoolBroken, mend

    place = settings.data_dir / DIRECTORY
    claim = claim_number(place, number)
    if claim is None:
        raise click.ClickException(f"{place} has no spool {number}, or a process has it open: then it is not damaged")
    copy = place / f"{number}.damaged-{time.strftime('%Y%m%dT%H%M%S')}"
    try:
        shutil.copytree(claim.path, copy)
        stock = mend(claim.path)
    except SpoolBroken as error:
        raise click.ClickException(f"{claim.path} cannot be mended: {error}; the copy is {copy}") from error
    finally:
        claim.release()
    click.echo(f"{claim.path}: {stock.events} events can be read; what it was is in {copy}")
