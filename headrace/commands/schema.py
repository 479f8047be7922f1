"""Print the JSON Schema of the routing table, for editors."""

from __future__ import annotations

import click

from headrace.context import Settings
from headrace.options import with_settings


@click.command()
@with_settings
def command(settings: Settings) -> None:
    """Print the JSON Schema (draft 2020-12) of the routing table, for editors.

    \b
    With the YAML extension of Visual Studio Code, begin headrace.yaml with:
    # yaml-language-server: $schema=headrace.schema.json
    """
    import orjson

    from headrace.table_schema import table_schema

    click.echo(orjson.dumps(table_schema(), option=orjson.OPT_INDENT_2).decode())
