"""Create the topics that are missing and report those that differ."""

from __future__ import annotations

import asyncio

import click

from headrace.context import Settings
from headrace.options import with_settings


@click.command()
@click.option("--dry-run", is_flag=True, help="Change nothing, only report.")
@with_settings
def command(settings: Settings, dry_run: bool) -> None:
    """Create the topics that are missing and report what differs: partitions, retention, cleanup policy.

    Ends with 1 if a difference remains with which Headrace would not start.
    """
    asyncio.run(_report(settings, dry_run=dry_run))


async def _report(settings: Settings, *, dry_run: bool) -> None:
    from headrace.topics import create, differences_of, refuse, topic_specs

    table = settings.table()
    specs = topic_specs(settings, table)
    async with settings.kafka(table).admin() as admin:
        created = [] if dry_run else await create(admin, settings, specs)
        differences = await differences_of(admin, settings, specs)
    for name in created:
        click.echo(f"created {name}")
    for difference in differences:
        click.echo(f"missing {difference.topic}" if difference.missing else f"differs {difference}")
    missing = sum(difference.missing for difference in differences)
    right = len(specs) - len({difference.topic for difference in differences}) - len(created)
    click.echo(
        f"{len(specs)} topics: {len(created)} created, {right} as they must be, "
        f"{missing} missing, {len({d.topic for d in differences}) - missing} different"
    )
    refuse(differences)
