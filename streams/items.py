"""One event, many deliveries: what a route with ``each`` makes of an event."""

from __future__ import annotations

from dataclasses import replace

from streams.delivery import Delivery
from streams.expression import ExpressionError, Scope
from streams.routing import Route

ITEMS_BYTES_MAX = 256 * 1024 * 1024  # each delivery carries the whole event


def split(delivery: Delivery, route: Route, scope: Scope) -> list[Delivery]:
    """Return one delivery an item, in the list's order; the delivery itself on a route without ``each``.

    Raises:
        ExpressionError: there is no list of items, or it makes too many deliveries, or too much of them.
    """
    if route.each is None:
        return [delivery]
    count = len(route.items(scope))
    if count * len(delivery.event.body) > ITEMS_BYTES_MAX:
        mebibytes = ITEMS_BYTES_MAX // 1024**2
        raise ExpressionError(f"route {route.name}: each: {count} items of so large an event are over {mebibytes} MiB")
    return [replace(delivery, item=item) for item in range(count)]
