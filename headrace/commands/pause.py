"""Stop the queue of one destination on all workers."""

from __future__ import annotations

import asyncio
import getpass

import click

from headrace.context import Settings
from headrace.options import with_settings


@click.command
@click.argument("destination")
@click.option("--reason", default="", help="Why; shown in the workers' logs.")
@with_settings
def command(settings: Settings, *, destination: str, reason: str) -> None:
    """Stop the queue of DESTINATION on all workers, until it is resumed; restarts do not end a pause.

    Its deliveries wait in Kafka and use no attempt. Calls in flight end as they do.
    """
    from headrace.pausing import pause

    asyncio.run(pause(settings, destination, reason or f"paused by {getpass.getuser()}"))
    click.echo(f"{destination} is paused; `headrace resume {destination}` goes on")
