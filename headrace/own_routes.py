"""Who is told of Headrace's own events, as the routing table has it; and whose trouble is told to nobody."""

from __future__ import annotations

from headrace.config import RoutingTable
from headrace.mistakes import Mistake, written
from streams.event import OWN_SOURCE


def describe_own_routes(table: RoutingTable) -> list[str]:
    """Return a line that says which routes take own events; none if no route does."""
    routes = table.compiled_routes().for_source(OWN_SOURCE)
    if not routes:
        return []
    told = ", ".join(f"{route.name} → {route.destination}" for route in routes)
    return [f"Headrace's own events go to: {told}"]


def own_route_warnings(table: RoutingTable) -> list[Mistake]:
    """Return a warning if only one destination of several is told: what is about it does not go to it.

    Conditions are not looked at: a second route that takes another type is taken for one that would do.
    """
    told = {route.destination for route in table.compiled_routes().for_source(OWN_SOURCE)}
    if len(told) != 1 or len(table.destinations) == 1:
        return []
    (name,) = told
    if table.destinations[name].connector == "log":  # calls nobody, so it has no trouble of its own
        return []
    other = next(one for one in table.destinations if one != name)
    keys = ("destinations", name)
    message = "it alone is told of Headrace's own events, so its own trouble is told to nobody"
    suggestion = f"let a route take them to another destination too, such as {other}"
    return [Mistake(table.document.line_of(keys), written(keys), message, suggestion)]
