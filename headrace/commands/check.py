"""Validate the routing table: every mistake at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from headrace.context import SecretError, Settings
from headrace.mistakes import Mistake, count, located, written
from headrace.options import with_settings

if TYPE_CHECKING:
    from headrace.config import RoutingTable


@click.command()
@click.option("--env", "check_env", is_flag=True, help="Also check that every secret is set, and Kafka's variables.")
@click.option("--tests", "run_tests", is_flag=True, help="Also run the section `tests`: what events lead to.")
@with_settings
def command(settings: Settings, check_env: bool, run_tests: bool) -> None:
    """Validate the routing table: every mistake at once, with its line, its key and a suggestion.

    Ends with 0 if the table is valid, with 2 if not, and with 1 if it is and one of its tests fails.
    """
    from headrace.config import ConfigError
    from headrace.own_routes import describe_own_routes, own_route_warnings
    from headrace.retention import retention_warnings
    from headrace.tracing import tracing_mistakes

    table = settings.table()
    missing = _missing_extras(table)
    if missing:
        raise ConfigError(table.path, missing)
    for warning in [*table.warnings, *own_route_warnings(table)]:
        click.echo(f"{located(table.path, warning)} [warning]", err=True)
    if check_env:
        missing = _missing_secrets(settings, table)
        sentences = [*settings.kafka_mistakes(), *tracing_mistakes(settings.environ)]
        missing += [Mistake(0, "", sentence) for sentence in sentences]
        if missing:
            raise ConfigError(table.path, missing)
        for sentence in retention_warnings(settings, table):
            click.echo(f"{sentence} [warning]", err=True)
    parts = (
        count(len(table.sources), "source"),
        count(len(table.destinations), "destination"),
        count(len(table.routes), "route"),
        *([count(len(table.schedules), "schedule")] if table.schedules else []),
    )
    click.echo(f"{table.path} is valid: {', '.join(parts)}")
    for line in describe_own_routes(table):
        click.echo(line)
    spool = table.ingest.spool_settings
    if spool is not None:
        click.echo(f"while Kafka is away, up to {spool.events_max:,} events wait in {settings.data_dir / 'spool'}")
    if run_tests:
        _run_tests(settings, table)


def _run_tests(settings: Settings, table: RoutingTable) -> None:
    from headrace import expectations
    from headrace.rehearsal import secrets_that_are_set

    failed = 0
    for tested in expectations.run_tests(table, secrets=secrets_that_are_set(settings, table)):
        failed += bool(tested.problems)
        click.echo(f"{'✗' if tested.problems else '✓'} {tested.name}")
        for line in tested.problems:
            click.echo(f"    {line}")
    click.echo(f"{count(len(table.tests), 'test')}, {failed} failed")
    if failed:
        raise click.exceptions.Exit(1)


def _missing_extras(table: RoutingTable) -> list[Mistake]:
    """Return a mistake for each destination whose connector needs a library that is not installed here.

    Ingest needs none of them, so this is no mistake of the table itself.
    """
    from connectors.registry import load_connector

    mistakes = []
    for name, destination in table.destinations.items():
        extra = load_connector(destination.connector).extra
        if extra is not None and extra.missing:
            keys = ("destinations", name, "connector")
            text = f"the connector {destination.connector} {extra.missing}"
            mistakes.append(Mistake(table.document.line_of(keys), written(keys), text))
    return mistakes


def _missing_secrets(settings: Settings, table: RoutingTable) -> list[Mistake]:
    """Return a mistake for each secret that is not set or cannot be read."""
    mistakes = []
    for keys, names in table.secret_envs():
        for name in names:
            problem = _problem(settings, name)
            if problem:
                mistakes.append(Mistake(table.document.line_of(keys), written(keys), problem))
    return mistakes


def _problem(settings: Settings, name: str) -> str:
    try:
        found = settings.secret(name)
    except SecretError as error:
        return str(error)
    return "" if found else f"the secret {name} is not set (nor {name}_FILE)"
