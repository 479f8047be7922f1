"""Traces: what each part of the way took, and what came before it. This one makes none; `headrace.tracing` does.

A span is named by what it does, and its parent is the span around it in the same task, or the one that a
``traceparent`` names (W3C Trace Context), which travels in the headers of Kafka records and of requests. Where
`Tracing.on` is false a hook costs one look at it.
"""

from __future__ import annotations

import contextlib
import re
from contextlib import AbstractContextManager
from typing import Literal

Kind = Literal["server", "producer", "consumer", "client", "internal"]
Value = str | int | float | bool

TRACEPARENT = "traceparent"
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


class Span:
    """One piece of work that is traced."""

    def note(self, **attributes: Value) -> None:
        """Add attributes; no body, no secret."""

    def fail(self, reason: str) -> None:
        """Mark the span as failed, for a reason that shows no secret."""


_NO_SPAN: AbstractContextManager[Span] = contextlib.nullcontext(Span())


class Tracing:
    """Makes no traces."""

    on = False
    trusts_producers = False  # whether the ``traceparent`` of a POST decides on trace and sampling

    def span(
        self,
        name: str,
        kind: Kind,
        *,
        parent: str = "",
        link: str = "",
        began_ms: int | None = None,
        **attributes: Value,
    ) -> AbstractContextManager[Span]:
        """Return a span that lasts as long as the block.

        Args:
            name: made of names in the routing table, never of what an event says.
            kind: the role, as OpenTelemetry has it.
            parent: the ``traceparent`` that it follows; without one the span around it, if there is one.
            link: the ``traceparent`` of another trace that led to this one. Without a parent a new trace begins.
            began_ms: Unix milliseconds, where the work began before the block.
            attributes: what is known at the start.
        """
        return _NO_SPAN

    def traceparent(self) -> str:
        """Return the ``traceparent`` of the span around, ``""`` without one."""
        return ""

    def stop(self) -> None:
        """Send what is left, within a bound; blocks."""


def valid_traceparent(text: str) -> str:
    """Return ``text`` if it is a ``traceparent`` of version 00, else ``""``."""
    return text if _TRACEPARENT.fullmatch(text) else ""
