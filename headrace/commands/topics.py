"""Create the topics that are missing and report those that differ."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import click

from headrace.context import Settings
from headrace.options import with_settings

if TYPE_CHECKING:
    from streams.topic_difference import Difference
    from streams.topics import TopicSpec

REPLICAS_ADVICE = "more replicas are given with kafka-reassign-partitions.sh (docs/how-to/use-your-own-kafka.md)"


@click.command()
@click.option("--dry-run", is_flag=True, help="Change nothing, only report.")
@click.option("--apply", "apply", is_flag=True, help="Also alter what differs and can be altered; never partitions.")
@click.option("--yes", is_flag=True, help="Do not ask before records may be deleted.")
@with_settings
def command(settings: Settings, *, dry_run: bool, apply: bool, yes: bool) -> None:
    """Create the topics that are missing and report what differs: partitions, replicas, retention, sizes, policy.

    With --apply it alters retention, cleanup policy, record size and min.insync.replicas of topics that exist. Ends
    with 1 if a difference remains with which Headrace would not start.
    """
    if dry_run and apply:
        raise click.UsageError("--dry-run changes nothing and --apply does: say one of them")
    asyncio.run(_report(settings, dry_run=dry_run, apply=apply, yes=yes))


async def _report(settings: Settings, *, dry_run: bool, apply: bool, yes: bool) -> None:
    from headrace.retention import retention_warnings
    from headrace.topics import create, differences_of, refuse, topic_specs
    from streams.topic_difference import change

    table = settings.table()
    specs = topic_specs(settings, table)
    async with settings.kafka(table).admin() as admin:
        created = [] if dry_run else await create(admin, settings, specs)
        for name in created:
            click.echo(f"created {name}")
        differences = await differences_of(admin, settings, specs)
        altered = [difference for difference in differences if apply and difference.alterable]
        if altered and _may_delete(altered, yes=yes):
            await change(admin, altered)
            for difference in altered:
                click.echo(f"altered {difference.topic}: {difference.key} was {difference.found}")
            # What the broker shows now, not what it was asked for.
            differences = await differences_of(admin, settings, specs)
    for difference in differences:
        click.echo(f"missing {difference.topic}" if difference.missing else f"differs {difference}")
    _summarize(specs, created, differences)
    for warning in retention_warnings(settings, table):
        click.echo(f"warning: {warning}", err=True)
    refuse(differences)


def _may_delete(altered: list[Difference], *, yes: bool) -> bool:
    """Return whether to go on; asks where records would be deleted."""
    deleting = [difference for difference in altered if difference.deletes]
    if not deleting or yes:
        return True
    for difference in deleting:
        click.echo(f"deletes records: {difference}", err=True)
    if not sys.stdin.isatty():
        raise click.UsageError(
            "records would be deleted; without a terminal to ask on, say --yes to alter all the same"
        )
    return click.confirm("alter them, and let Kafka delete what is older?", err=True)


def _summarize(specs: list[TopicSpec], created: list[str], differences: list[Difference]) -> None:
    missing = sum(difference.missing for difference in differences)
    # Kafka's own topic of offsets is none of ours, and one that was just created may differ already.
    different = {difference.topic for difference in differences} & {spec.name for spec in specs}
    right = len({spec.name for spec in specs} - different - set(created))
    different_count = len(different) - missing
    click.echo(
        f"{len(specs)} topics: {len(created)} created, {right} as they must be, "
        f"{missing} missing, {different_count} different"
    )
    if any(difference.alterable for difference in differences):
        click.echo("headrace topics --apply alters what can be altered")
    if any(difference.key == "replicas" for difference in differences):
        click.echo(REPLICAS_ADVICE)
