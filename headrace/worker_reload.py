"""What a running worker can take over of a changed routing table, and what takes a restart."""

from __future__ import annotations

from headrace.config import RoutingTable


class ReloadRefused(Exception):
    """The new routing table needs a restart; the text says why."""


def require_takeable(new: RoutingTable, old: RoutingTable, *, body_bytes_max: int, now_ms: int) -> None:
    """Return only if a worker that runs by ``old`` can go on by ``new``; its producer holds ``body_bytes_max``.

    Raises:
        ReloadRefused: it cannot.
    """
    if not set(new.delays_s) <= set(old.delays_s):
        raise ReloadRefused("a new delay in delays_s needs a restart of the workers")
    if new.body_bytes_max > body_bytes_max:
        raise ReloadRefused("a larger body_bytes_max needs a restart of the workers")
    if new.schedules and not old.schedules:
        raise ReloadRefused("the first schedule needs a restart of the workers")
    _refuse_changes_of_the_past(new, old, now_ms)


def _refuse_changes_of_the_past(new: RoutingTable, old: RoutingTable, now_ms: int) -> None:
    """Refuse steps that would send events another way than they went: some would be done twice, or not at all."""
    earlier = {route.name: route.share for route in old.routes}
    for route in new.routes:
        before = earlier.get(route.name)
        if before is not None and route.mode == "percent" and route.share.changed_in_the_past(before, now_ms=now_ms):
            raise ReloadRefused(
                f"route {route.name}: a step that has begun would change which events it carries out;"
                " keep those that have begun, and give new ones a time ahead"
            )
