"""The destinations of mirrors: each route that has one gets its own, by the connector zapier."""

from __future__ import annotations

from collections.abc import Iterable

from connectors.connector import DestinationSettings
from connectors.registry import load_connector
from streams.mirror import CONNECTOR, mirror_name
from streams.routing import RouteSettings


def mirror_destinations(routes: Iterable[RouteSettings]) -> dict[str, DestinationSettings]:
    """Return the destination of each route's mirror, by name."""
    model = load_connector(CONNECTOR).settings_model
    return {
        mirror_name(route.name): model.model_validate(
            {"connector": CONNECTOR, "url_env": route.mirror.url_env, "rate": route.mirror.rate}
        )
        for route in routes
        if route.mirror is not None
    }
