"""What a routing table would do with an event: matched, rendered and checked, with nothing sent anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from connectors.errors import PermanentError
from connectors.masking import Mask
from connectors.registry import load_connector
from headrace.config import RoutingTable
from streams.event import OWN_SOURCE, Event, Receipt
from streams.expression import ExpressionError
from streams.routing import Route

MATCHED, UNMATCHED, FAILED = "matched", "unmatched", "failed"


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What became of one route: ``parameters`` if it matched and renders, ``reason`` if not."""

    route: str
    action: str
    verdict: str
    parameters: object = None
    reason: str = ""


def rehearse(table: RoutingTable, event: Event, *, secrets: Iterable[str]) -> list[Rehearsed]:
    """Return what each route of the table does with ``event``, in the table's order, with ``secrets`` masked.

    Raises:
        MalformedBody, UnsupportedBody, BodyTooLarge: the event's body cannot be read.
    """
    mask = Mask(secrets)
    source = table.sources.get(event.source)  # none for an event of Headrace's own
    body_bytes_max = table.body_bytes_max if source is None else source.body_bytes_max
    scope = event.scope(Receipt(event.source, 0, 0), body_bytes_max=body_bytes_max)
    return [_rehearse(route, table, event, scope, mask) for route in table.compiled_routes()]


def _rehearse(route: Route, table: RoutingTable, event: Event, scope: Mapping[str, object], mask: Mask) -> Rehearsed:
    action = f"{route.destination}.{route.action}"
    if not route.takes(event.source):
        taken = f"every source but {OWN_SOURCE}" if route.sources is None else ", ".join(sorted(route.sources))
        return Rehearsed(route.name, action, UNMATCHED, reason=f"it takes events of {taken}")
    if event.about == route.destination:
        return Rehearsed(route.name, action, UNMATCHED, reason=f"what is told about {event.about} does not go there")
    try:
        if not route.matches(scope):
            assert route.when is not None  # noqa: S101  for mypy: without a condition it matches
            return Rehearsed(route.name, action, UNMATCHED, reason=f"the condition is false: {route.when.source}")
    except ExpressionError as error:
        reason = f"the condition cannot be evaluated: {error}"
        return Rehearsed(route.name, action, FAILED, reason=mask.text(reason))
    try:
        parameters = route.render(scope)
        connector = load_connector(table.destinations[route.destination].connector)
        connector.actions[route.action].read(parameters)
    except ExpressionError as error:
        reason = f"the mapping cannot be rendered: {error}"
        return Rehearsed(route.name, action, FAILED, reason=mask.text(reason))
    except PermanentError as error:
        return Rehearsed(route.name, action, FAILED, mask.value(parameters), mask.text(str(error)))
    return Rehearsed(route.name, action, MATCHED, mask.value(parameters))
