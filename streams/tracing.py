"""Traces through the log: the ``traceparent`` in the headers of records. What a trace is: `connectors.tracing`."""

from __future__ import annotations

from collections.abc import Iterable

from connectors.tracing import TRACEPARENT, Kind, Span, Tracing, valid_traceparent

__all__ = ["TRACEPARENT", "Kind", "Span", "Tracing", "traceparent_header", "traceparent_of", "valid_traceparent"]

RecordHeaders = Iterable[tuple[str, bytes]]


def traceparent_of(headers: RecordHeaders) -> str:
    """Return the ``traceparent`` of a record, ``""`` if it has none that is well formed."""
    raw = next((value for name, value in headers if name == TRACEPARENT), None)
    return valid_traceparent(raw.decode(errors="replace")) if raw else ""


def traceparent_header(traceparent: str) -> list[tuple[str, bytes]]:
    """Return the record header for ``traceparent``; none for ``""``."""
    return [(TRACEPARENT, traceparent.encode())] if traceparent else []
