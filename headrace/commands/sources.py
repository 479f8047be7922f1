"""List the sources: their schemes, addresses and kept headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from headrace.context import SecretError, Settings
from headrace.options import with_settings

if TYPE_CHECKING:
    from headrace.config import RoutingTable
    from ingest.scheme import Scheme

BATCH_ID = "the batch's SHA-256 and the place in it"  # of an item to which the provider gives no id
HEADINGS = ("SOURCE", "SCHEME", "WEBHOOK", "EVENT ID", "RETRIES", "ANSWER", "SECRET")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a source.")
@with_settings
def command(settings: Settings, as_json: bool) -> None:
    """List the sources: address, scheme, event id, retries, answer deadline, secrets and kept headers.

    RETRIES is for how long the provider sends an event again, ANSWER how long it waits for the answer. The last
    ones are Headrace's own and that of the schedules, to which nobody can post.
    """
    import orjson

    from streams.event import OWN_SOURCE, OWN_TYPES, SCHEDULES_SOURCE

    table = settings.table()
    rows = [_row(settings, table, name) for name in table.sources]
    own = {OWN_SOURCE: list(OWN_TYPES)}
    if table.schedules:
        own[SCHEDULES_SOURCE] = [schedule.name for schedule in table.schedules]
    if as_json:
        for row in rows:
            click.echo(orjson.dumps(row).decode())
        for name, types in own.items():
            made = {"source": name, "scheme": None, "path": None, "event_types": types}
            click.echo(orjson.dumps({**made, "dedup_ttl_s": table.dedup_ttl_s[name]}).decode())
        return
    _print_table([HEADINGS, *map(_cells, rows)])
    for row in rows:
        click.echo(f"{row['source']}: kept headers {', '.join(_texts(row['kept_headers'])) or 'none'}")
    click.echo(f'{OWN_SOURCE}: Headrace\'s own events; nobody can post them, and "*" does not take them')
    click.echo(f"  event types:  {', '.join(OWN_TYPES)}")
    if SCHEDULES_SOURCE in own:
        click.echo(f"{SCHEDULES_SOURCE}: events that the schedules make; nobody can post them")
        click.echo(f"  event types:  {', '.join(own[SCHEDULES_SOURCE])}")


def _row(settings: Settings, table: RoutingTable, name: str) -> dict[str, object]:
    from ingest.public_url import public_url
    from ingest.scheme import load_scheme

    source = table.sources[name]
    scheme = load_scheme(source.scheme)
    path = f"/webhook/{name}"
    envs = [*source.secret_envs, *source.option_secret_envs().values()]
    return {
        "source": name,
        "scheme": source.scheme,
        "path": path,
        "url": public_url(path, (), base=table.ingest.public_url, address=source.public_url) or None,
        "methods": _methods(scheme),
        "secret_envs": source.secret_envs,
        "secrets": {env: _state(settings, env) for env in envs},
        "event_id": source.event_id,
        "event_id_at": source.event_id or scheme.id_at or None,
        "batches": scheme.split is not None,
        "event_type_at": scheme.type_at or None,
        "dedup": source.dedup,
        "dedup_ttl_s": source.dedup_ttl_s,
        "retry_window_s": scheme.retry_window_s or None,
        "answer_within_s": scheme.answer_within_s,
        "timestamp_tolerance_s": scheme.timestamp_tolerance_s,
        "kept_headers": sorted({*scheme.kept_headers, *source.keep_headers}),
    }


def _methods(scheme: Scheme) -> list[str]:
    asks = (("GET", scheme.challenge() is not None), ("HEAD", scheme.answers_head), ("POST", True))
    return [method for method, answered in asks if answered]


def _state(settings: Settings, env: str) -> str:
    try:
        return "set" if settings.secret(env) else "not set"
    except SecretError:
        return "cannot be read"


def _cells(row: dict[str, object]) -> tuple[str, ...]:
    secrets = row["secrets"]
    states = [f"{env} {state}" for env, state in secrets.items()] if isinstance(secrets, dict) else []
    return (
        str(row["source"]),
        str(row["scheme"]),
        str(row["url"] or row["path"]),
        str(row["event_id_at"] or (BATCH_ID if row["batches"] else "the body's SHA-256")),
        _span(row["retry_window_s"]),
        _span(row["answer_within_s"]),
        ", ".join(states) or "none",
    )


def _span(seconds: object) -> str:
    if not isinstance(seconds, int | float) or not seconds:
        return "unknown"
    for unit, size in (("d", 86400), ("h", 3600)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds / 60:g} min" if seconds > 120 else f"{seconds:g} s"


def _texts(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []


def _print_table(rows: list[tuple[str, ...]]) -> None:
    """Print columns as wide as they need, whatever the terminal: a line that wraps can still be read and searched."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
