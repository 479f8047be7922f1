"""For how long records are kept, and what is hardly meant about it."""

from __future__ import annotations

from headrace.config import RoutingTable
from headrace.context import Settings


def retention_warnings(settings: Settings, table: RoutingTable) -> list[str]:
    """Return what is allowed and hardly meant about how long records are kept, a sentence each."""
    events_s, outcomes_s = settings.retention_events_s, settings.retention_outcomes_s
    warnings = [
        f"HEADRACE_RETENTION_EVENTS ({_days(events_s)}) is shorter than dedup_ttl of {name}"
        f" ({_days(source.dedup_ttl_s)}): a repeat is dropped although its first event is no longer in the log"
        for name, source in table.sources.items()
        if events_s < source.dedup_ttl_s
    ]
    if outcomes_s < events_s:
        warnings.append(
            f"HEADRACE_RETENTION_OUTCOMES ({_days(outcomes_s)}) is shorter than HEADRACE_RETENTION_EVENTS"
            f" ({_days(events_s)}): headrace event shows deliveries as waiting that settled long ago"
        )
    return warnings


def _days(seconds: int) -> str:
    return f"{seconds / 86400:.3g}d"
