"""List the sources: their schemes, addresses and kept headers."""

from __future__ import annotations

import click

from headrace.context import Settings
from headrace.options import with_settings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a source.")
@with_settings
def command(settings: Settings, as_json: bool) -> None:
    """List the sources: scheme, path, where the event id comes from, and the headers that are kept with each event.

    The last ones are Headrace's own and that of the schedules, to which nobody can post.
    """
    import orjson

    from ingest.scheme import load_scheme
    from streams.event import OWN_SOURCE, OWN_TYPES, SCHEDULES_SOURCE

    table = settings.table()
    scheduled = [schedule.name for schedule in table.schedules]
    for name, source in table.sources.items():
        scheme = load_scheme(source.scheme)
        kept = sorted({*scheme.kept_headers, *source.keep_headers})
        row = {
            "source": name,
            "scheme": source.scheme,
            "path": f"/webhook/{name}",
            "secret_envs": source.secret_envs,
            "event_id": source.event_id,
            "kept_headers": kept,
            "dedup_ttl_s": source.dedup_ttl_s,
        }
        if as_json:
            click.echo(orjson.dumps(row).decode())
            continue
        click.echo(f"{name}: scheme {source.scheme}, POST /webhook/{name}")
        click.echo(f"  secret:       {', '.join(source.secret_envs) or 'none: anybody can post'}")
        click.echo(f"  event id:     {source.event_id or 'as the scheme says'}")
        click.echo(f"  kept headers: {', '.join(kept) or 'none'}")
    if as_json:
        own = {"source": OWN_SOURCE, "scheme": None, "path": None, "event_types": OWN_TYPES}
        click.echo(orjson.dumps({**own, "dedup_ttl_s": table.dedup_ttl_s[OWN_SOURCE]}).decode())
        if scheduled:
            made = {"source": SCHEDULES_SOURCE, "scheme": None, "path": None, "event_types": scheduled}
            click.echo(orjson.dumps({**made, "dedup_ttl_s": table.dedup_ttl_s[SCHEDULES_SOURCE]}).decode())
        return
    click.echo(f'{OWN_SOURCE}: Headrace\'s own events; nobody can post them, and "*" does not take them')
    click.echo(f"  event types:  {', '.join(OWN_TYPES)}")
    if scheduled:
        click.echo(f"{SCHEDULES_SOURCE}: events that the schedules make; nobody can post them")
        click.echo(f"  event types:  {', '.join(scheduled)}")
