"""What a routing table would do with an event: matched, rendered and checked, with nothing sent anywhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from connectors.errors import PermanentError
from connectors.masking import Mask
from connectors.registry import load_connector
from headrace.config import RoutingTable
from headrace.context import SecretError, Settings
from streams.delivery import Delivery
from streams.event import OWN_SOURCE, Event, Receipt
from streams.expression import ExpressionError
from streams.items import split
from streams.mirror import as_it_came
from streams.routing import SHADOW, Route

MATCHED, UNMATCHED, FAILED = "matched", "unmatched", "failed"


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What became of one route: ``parameters`` if it matched and renders, ``reason`` if not."""

    route: str
    action: str
    verdict: str
    parameters: object = None
    reason: str = ""
    item: int | None = None


def rehearse(table: RoutingTable, event: Event, *, secrets: Iterable[str]) -> list[Rehearsed]:
    """Return what each route of the table does with ``event``, in the table's order, with ``secrets`` masked.

    Raises:
        MalformedBody, UnsupportedBody, BodyTooLarge: the event's body cannot be read.
    """
    mask = Mask(secrets)
    source = table.sources.get(event.source)  # none for an event of Headrace's own
    body_bytes_max = table.body_bytes_max if source is None else source.body_bytes_max
    scope = event.scope(Receipt(event.source, 0, 0), body_bytes_max=body_bytes_max)
    return [found for route in table.compiled_routes() for found in _rehearse(route, table, event, scope, mask)]


def _rehearse(
    route: Route, table: RoutingTable, event: Event, scope: Mapping[str, object], mask: Mask
) -> Iterator[Rehearsed]:
    action = f"{route.destination}.{route.action}"
    why_not = _why_not(route, event)
    if why_not:
        yield Rehearsed(route.name, action, UNMATCHED, reason=why_not)
        return
    try:
        if not route.matches(scope):
            assert route.when is not None  # noqa: S101  for mypy: without a condition it matches
            yield Rehearsed(route.name, action, UNMATCHED, reason=f"the condition is false: {route.when.source}")
            return
    except ExpressionError as error:
        yield Rehearsed(route.name, action, FAILED, reason=mask.text(f"the condition cannot be evaluated: {error}"))
        return
    try:
        deliveries = split(Delivery.along(route, event, Receipt(event.source, 0, 0)), route, scope)
    except ExpressionError as error:
        yield Rehearsed(route.name, action, FAILED, reason=mask.text(f"the items cannot be told: {error}"))
        return
    if not deliveries:
        yield Rehearsed(route.name, action, UNMATCHED, reason="there are no items")
    for delivery in deliveries:
        yield _render(route, event, delivery.item, table, scope, mask)


def _why_not(route: Route, event: Event) -> str:
    """Return why no event of this kind goes there, whatever it holds."""
    if not route.takes(event.source):
        taken = f"every source but {OWN_SOURCE}" if route.sources is None else ", ".join(sorted(route.sources))
        return f"it takes events of {taken}"
    if event.about == route.destination:
        return f"what is told about {event.about} does not go there"
    return "" if route.carries(event) is not None else "its route carries this event out itself"


def _render(
    route: Route, event: Event, item: int | None, table: RoutingTable, scope: Mapping[str, object], mask: Mask
) -> Rehearsed:
    action = f"{route.destination}.{route.action}"
    parameters: object = None
    reason = ""
    try:
        rendered = as_it_came(event) if route.mirrors else route.render(scope, item)
        parameters = mask.value(rendered)
        settings = table.destinations[route.destination]
        load_connector(settings.connector).actions[route.action].read(rendered, settings)
    except ExpressionError as error:
        reason = f"the mapping cannot be rendered: {error}"
    except PermanentError as error:
        reason = str(error)
    verdict = FAILED if reason else MATCHED
    if not reason and route.carries(event) == SHADOW:
        reason = "shadow: recorded, and nothing is called"
    return Rehearsed(route.name, action, verdict, parameters, mask.text(reason), item)


def secrets_that_are_set(settings: Settings, table: RoutingTable) -> list[str]:
    """Return every secret of the table that is set: what must not be shown."""
    found = []
    for _, names in table.secret_envs():
        for name in names:
            with contextlib.suppress(SecretError):
                found.append(settings.secret(name))
    return [secret for secret in found if secret]
