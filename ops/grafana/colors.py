"""One colour for each outcome and state, on every panel: green is well, yellow waits, red is lost or refused."""

from __future__ import annotations

GOOD, WAITING, BAD, QUIET = "green", "yellow", "red", "text"

OUTCOMES = {
    # posts (headrace_ingest_requests_total)
    "accepted": GOOD,
    "handshake": "blue",
    "malformed": "orange",
    "invalid_signature": "purple",
    "unknown_source": "light-purple",
    "too_large": "light-orange",
    "too_many_requests": WAITING,
    "unavailable": BAD,
    "overloaded": BAD,
    # events (headrace_events_total)
    "fanned_out": GOOD,
    "duplicate": "blue",
    "unrouted": "light-blue",
    "unreadable": BAD,
    # deliveries (headrace_deliveries_total)
    "settled": GOOD,
    "delayed": WAITING,
    "dead_lettered": BAD,
    "skipped": "blue",
    "shadowed": "light-blue",
    # attempts (headrace_attempts_total)
    "ok": GOOD,
    "transient": "orange",
    "timeout": "dark-orange",
    "rate_limited": WAITING,
    "permanent": BAD,
    "credentials_refused": "dark-red",
}

# The stages of a flow, and percentiles, wherever they are drawn.
SERIES = {
    "accepted": GOOD,
    "fanned out": "blue",
    "settled": "dark-green",
    "dead-lettered": BAD,
    "waiting for fan-out": "blue",
    "waiting for delivery": "orange",
    "waiting for a retry": WAITING,
    "high priority": "purple",
    "normal": "orange",
    "p50": "light-blue",
    "p95": "blue",
    "p99": "dark-blue",
}
