"""Routes against what they name: sources, destinations, actions and their parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from connectors.connector import Action, DestinationSettings
from connectors.registry import load_connector
from headrace.mistakes import Keys, Mistake, closest, written
from headrace.section_checks import leaves
from headrace.validation import Findings
from streams.event import OWN_SOURCE
from streams.expression import NAMES, Expression, ExpressionError, Template, has_expression
from streams.routing import EVERY_SOURCE, RouteSettings, mapping_names


@dataclass(frozen=True, slots=True)
class Declared:
    """What the table declares, valid or not; ``None`` if it cannot be told.

    ``connectors`` maps each destination to its connector, or to ``None`` if that is unknown, and ``settings`` those
    that are valid to theirs. ``partitioned`` are the sources with ``partition_by``.
    """

    sources: list[str] | None
    partitioned: list[str]
    connectors: Mapping[str, str | None] | None
    settings: Mapping[str, DestinationSettings]


def check_routes(value: object, declared: Declared, findings: Findings) -> tuple[list[RouteSettings], list[Mistake]]:
    """Return the valid routes and the warnings, and note every mistake in ``routes``."""
    if value is None:
        value = []
    if not isinstance(value, list):
        findings.add(("routes",), "must be a list of routes")
        return [], []
    routes: list[RouteSettings] = []
    first: dict[object, int] = {}
    for index, route in enumerate(value):
        keys = ("routes", index)
        if not isinstance(route, dict):
            findings.add(keys, "must be a mapping with the keys name, source, to and action")
            continue
        name = route.get("name")
        if isinstance(name, str) and first.setdefault(name, index) != index:
            findings.add((*keys, "name"), f"the name {name!r} is taken by routes[{first[name]}]")
        settings = findings.validate(RouteSettings, route, keys)
        _check_route(route, declared, keys, findings)
        if settings is not None:
            routes.append(settings)
    return routes, _unused(declared, routes)


def _check_route(route: Mapping[str, object], declared: Declared, keys: Keys, findings: Findings) -> None:
    _check_sources(route.get("source"), declared, (*keys, "source"), findings)
    _check_order(route, declared, keys, findings)
    when = route.get("when")
    if isinstance(when, str):
        _check_expression(Expression, when, (*keys, "when"), findings)
    mirror = route.get("mirror")
    only = mirror.get("only") if isinstance(mirror, dict) else None
    if isinstance(only, str):
        _check_expression(Expression, only, (*keys, "mirror", "only"), findings)
    check_mode(route, keys, findings)
    each = route.get("each")
    if isinstance(each, str):
        _check_expression(Expression, each, (*keys, "each"), findings)
    mapping = route.get("with", {})
    for place, leaf in leaves(mapping, (*keys, "with")):
        if isinstance(leaf, str):
            _check_expression(Template, leaf, place, findings, names=mapping_names(each))
        if any(has_expression(key) for key in place):
            findings.add(place, "a key is taken as it stands: only values may hold {{ … }}")
    action = _action(route, declared, keys, findings)
    if action is not None and isinstance(mapping, dict):
        settings = declared.settings.get(str(route.get("to")))
        _check_parameters(action, mapping, settings, keys, findings)


def _check_order(route: Mapping[str, object], declared: Declared, keys: Keys, findings: Findings) -> None:
    if route.get("ordered") is not True or declared.sources is None:
        return
    source = route.get("source")
    taken = declared.sources if source == EVERY_SOURCE else [name for _, name in leaves(source, ())]
    without = [str(name) for name in taken if name not in declared.partitioned]
    if without:
        message = f"an ordered route needs partition_by on its source: {', '.join(without)} has none"
        findings.add((*keys, "ordered"), message, "partition_by says which events must stay in order")


def check_mode(route: Mapping[str, object], keys: Keys, findings: Findings) -> None:
    """Note steps without their mode, and the other way round; what each holds is the model's to check."""
    mode, steps = route.get("mode"), route.get("percent")
    if mode == "percent" and steps is None:
        findings.add((*keys, "mode"), "needs its steps", "write 'percent: [{from: 2026-12-01T00:00Z, percent: 10}]'")
    if steps is not None and mode != "percent":
        findings.add((*keys, "percent"), "goes with 'mode: percent' alone")


def _check_sources(value: object, declared: Declared, keys: Keys, findings: Findings) -> None:
    for place, name in leaves(value, keys):
        if declared.sources is None:
            return
        known = [*declared.sources, OWN_SOURCE]
        if isinstance(name, str) and name not in known and (name != EVERY_SOURCE or place != keys):
            findings.add(place, f"there is no source {name!r}", closest(name, known))


def _check_expression(
    kind: type[Expression] | type[Template],
    text: str,
    keys: Keys,
    findings: Findings,
    *,
    names: frozenset[str] = NAMES,
) -> None:
    try:
        kind(text, names=names)
    except ExpressionError as error:
        findings.add(keys, str(error))


def _action(route: Mapping[str, object], declared: Declared, keys: Keys, findings: Findings) -> Action | None:
    destination, name = route.get("to"), route.get("action")
    if declared.connectors is None or not isinstance(destination, str):
        return None
    if destination not in declared.connectors:
        suggestion = closest(destination, declared.connectors)
        findings.add((*keys, "to"), f"there is no destination {destination!r}", suggestion)
        return None
    connector_name = declared.connectors[destination]
    if connector_name is None or not isinstance(name, str):
        return None
    actions: Mapping[str, Action] = load_connector(connector_name).actions
    if name not in actions:
        message = f"the connector {connector_name} has no action {name!r}"
        findings.add((*keys, "action"), message, closest(name, actions))
    return actions.get(name)


def _check_parameters(
    action: Action,
    mapping: Mapping[str, object],
    settings: DestinationSettings | None,
    keys: Keys,
    findings: Findings,
) -> None:
    for mistake in action.check(mapping, settings):
        findings.add((*keys, "with", *mistake.path), mistake.message, mistake.suggestion or "")


def _unused(declared: Declared, routes: list[RouteSettings]) -> list[Mistake]:
    if declared.sources is None or declared.connectors is None:
        return []
    taken = {source for route in routes for source in route.sources or declared.sources}
    used = {route.to for route in routes}
    sources = [("sources", name) for name in declared.sources if name not in taken]
    destinations = [("destinations", name) for name in declared.connectors if name not in used]
    return [
        *(Mistake(0, written(keys), "no route takes its events: they are kept and go nowhere") for keys in sources),
        *(Mistake(0, written(keys), "no route goes there") for keys in destinations),
    ]
