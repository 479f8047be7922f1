"""One try of a delivery that failed, as it is logged, and kept with the delivery for whoever has to understand it."""

from __future__ import annotations

from dataclasses import dataclass

EXCERPT_CHARS_MAX = 2048


@dataclass(frozen=True, slots=True)
class Attempt:
    """A failed call: when it began (Unix milliseconds), how long it took, and what came back.

    ``status`` is the HTTP status if there was an answer, ``excerpt`` the first 2,048 characters of its body, secrets
    masked.
    """

    time_ms: int
    duration_s: float
    status: int | None
    error: str
    excerpt: str = ""
