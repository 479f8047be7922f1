"""The sources of a routing table with their secrets, ready to judge requests."""

from __future__ import annotations

from headrace.config import RoutingTable
from headrace.context import SecretError, Settings
from ingest.sources import Source, compile_source


class SourceError(Exception):
    """A source cannot be started: its secret is missing or can never work. The text names source and variable."""


def live_sources(settings: Settings, table: RoutingTable, *, processes: int = 1) -> dict[str, Source]:
    """Return every source of ``table``, ready to use in one of ``processes``.

    Raises:
        SourceError: one is without its secret, or its secret can never work.
    """
    return {name: live_source(settings, table, name, processes=processes) for name in table.sources}


def live_source(settings: Settings, table: RoutingTable, name: str, *, processes: int = 1) -> Source:
    """Return the source ``name`` of ``table``; raises as `live_sources`."""
    source = table.sources[name]
    try:
        return compile_source(
            name,
            source,
            settings.source_secrets(source),
            option_secrets=settings.option_secrets(source),
            ingest=table.ingest,
            processes=processes,
            keep_query=table.mirrors(name),
        )
    except SecretError as error:
        raise SourceError(f"source {name}: {error}") from error
    except ValueError as error:
        raise SourceError(str(error)) from error
