"""Go on with the queue of one destination on all workers."""

from __future__ import annotations

import asyncio

import click

from headrace.context import Settings
from headrace.options import with_settings


@click.command
@click.argument("destination")
@with_settings
def command(settings: Settings, *, destination: str) -> None:
    """Go on with the queue of DESTINATION on all workers, whoever paused it."""
    from headrace.pausing import resume

    before = asyncio.run(resume(settings, destination))
    if before is None:
        click.echo(f"{destination} was not paused")
    else:
        click.echo(f"{destination} is resumed; it was paused since {before.since}: {before.reason}")
