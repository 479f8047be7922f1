"""What became of the reloads of a part: how many were taken and refused, and whether the last one was refused."""

from __future__ import annotations

from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge


class ReloadMetrics:
    """The metrics of one part's reloads; those of an ingest are for all of its processes together."""

    def __init__(self, registry: CollectorRegistry, part: Literal["ingest", "worker"] = "ingest") -> None:
        self._reloads = Counter(
            f"headrace_{part}_reloads", "Reloads that SIGHUP asked for.", ["outcome"], registry=registry
        )
        self._refused = Gauge(
            f"headrace_{part}_reload_refused",
            "1 if the last reload was refused, so that the part does not do what its table says.",
            registry=registry,
        )
        for outcome in ("taken", "refused"):
            self._reloads.labels(outcome)

    def count(self, *, taken: bool) -> None:
        """Count a reload, and remember whether the last one was refused."""
        self._reloads.labels("taken" if taken else "refused").inc()
        self._refused.set(not taken)
