"""Taking over from another system route by route: which events a route carries out, and which it leaves to its mirror.

An event's share is decided by when it was accepted and by the hash of its dedup id, never by when it is looked at: a
redelivery, a restart and a replay find the same answer. A step that has begun must therefore not be changed; a reload
that would do so is refused (`changed_in_the_past`).
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

BUCKETS = 10_000  # a share is told to a hundredth of a percent
STEPS_MAX = 200

Mode = Literal["live", "shadow", "percent"]


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


class StepSettings(BaseModel):
    """From a moment on, so many percent of a route's events are carried out."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    from_: Annotated[datetime, AfterValidator(_in_utc)] = Field(
        alias="from", description="For events accepted at this time or later; RFC 3339, UTC without an offset."
    )
    percent: float = Field(ge=0, le=100, allow_inf_nan=False, description="Of the route's events, by their dedup ids.")


Steps = Annotated[list[StepSettings], Field(min_length=1, max_length=STEPS_MAX)]


def mode_fields(value: Any) -> Any:
    """Return a route's keys, ``mode: [steps]`` read as ``mode: percent`` with ``percent: [steps]``."""
    if isinstance(value, dict) and isinstance(value.get("mode"), list) and "percent" not in value:
        return {**value, "mode": "percent", "percent": value["mode"]}
    return value


@dataclass(frozen=True, slots=True)
class Share:
    """How much of a route's events it carries out, over time: before the first step, and without steps, ``rest``."""

    moments_ms: Sequence[int] = ()
    percents: Sequence[float] = ()
    rest: float = 0.0

    @classmethod
    def of(cls, mode: Mode, steps: Sequence[StepSettings]) -> Share:
        """Return the share of a mode; the order in which steps are written does not matter."""
        if mode != "percent":
            return cls(rest=100.0 if mode == "live" else 0.0)
        ordered = sorted((int(step.from_.timestamp() * 1000), step.percent) for step in steps)
        return cls(tuple(moment for moment, _ in ordered), tuple(percent for _, percent in ordered))

    @property
    def whole(self) -> bool:
        """Whether it carries out every event, always."""
        return not self.moments_ms and self.rest == 100

    def percent_at(self, time_ms: int) -> float:
        """Return the percent for events accepted at a moment."""
        place = bisect_right(self.moments_ms, time_ms)
        return self.percents[place - 1] if place else self.rest

    def takes(self, *, time_ms: int, dedup_id: str) -> bool:
        """Return whether an event is carried out: by when it was accepted, and its dedup id."""
        return bucket(dedup_id) < self.percent_at(time_ms) * BUCKETS / 100

    def changed_in_the_past(self, earlier: Share, *, now_ms: int) -> bool:
        """Return whether events accepted by now would go another way than they went by ``earlier``."""
        passed = [moment for moment in (*self.moments_ms, *earlier.moments_ms) if moment <= now_ms]
        return any(self.percent_at(moment) != earlier.percent_at(moment) for moment in (*passed, now_ms))


WHOLE = Share(rest=100.0)


def bucket(dedup_id: str) -> int:
    """Return in which of `BUCKETS` an event is: the same for all routes, so that those of one system go together."""
    return int.from_bytes(hashlib.sha256(dedup_id.encode()).digest()[:8], "big") % BUCKETS
