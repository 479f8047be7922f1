"""The next step of a takeover, written into the routing table: its own text, comments and all.

A step begins some time ahead, so that every worker knows it before it begins; what has begun stays as it is. So the way
of each event is the same by the old table and by the new one, and none is done twice or not at all.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from headrace.config import ConfigError, load_routing_table
from headrace.mistakes import closest
from streams.routing import RouteSettings

SEQUENCE = (10.0, 50.0, 100.0)
LEAD_S = 120
EPOCH = "1970-01-01T00:00:00Z"


class TakeoverRefused(Exception):
    """The step cannot be written; says why."""


@dataclass(frozen=True, slots=True)
class Step:
    """What was, or would be, written. ``dropped`` are steps that had not begun and are no more."""

    route: str
    percent_now: float
    percent: float
    begins: str
    text: str
    dropped: int


def next_step(path: Path, name: str, *, percent: float | None, back: bool, begins_s: float, now_s: float) -> Step:
    """Return the next step of route ``name``, with the table's text that has it.

    Raises:
        TakeoverRefused: there is no such route, nothing is left to do, or the table's form cannot be edited.
        ConfigError: the table is not valid.
    """
    if begins_s <= now_s:
        raise TakeoverRefused("the step must begin in the future, after every worker has been reloaded")
    table = load_routing_table(path)
    route = next((route for route in table.routes if route.name == name), None)
    if route is None:
        known = closest(name, [route.name for route in table.routes], kind="routes")
        raise TakeoverRefused(f"the routing table has no route {name!r}: {known}")
    now = route.share.percent_at(int(now_s * 1000))
    wanted = _wanted(now, percent, back=back)
    begun = _begun(route, now_s)
    begins = datetime.fromtimestamp(int(begins_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    steps = [*begun, (begins, wanted)]
    text = _edited(path.read_text(encoding="utf-8"), name, steps)
    _check(path, text, name)
    return Step(name, now, wanted, begins, text, dropped=len(route.percent or []) - _kept(route, now_s))


def write_table(path: Path, text: str) -> None:
    """Replace the table's file at once, with the permissions it had: nobody reads half of it."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".", delete=False, encoding="utf-8") as new:
        new.write(text)
        new.flush()
        os.fsync(new.fileno())
    try:
        Path(new.name).chmod(path.stat().st_mode)
        Path(new.name).replace(path)
    except OSError:
        Path(new.name).unlink(missing_ok=True)
        raise


def _wanted(now: float, percent: float | None, *, back: bool) -> float:
    if back:
        if now == 0:
            raise TakeoverRefused("the route carries out nothing: there is no way back from that")
        return 0.0 if percent is None else percent
    if percent is not None:
        return percent
    found = next((step for step in SEQUENCE if step > now), None)
    if found is None:
        raise TakeoverRefused("the route carries out everything already")
    return found


def _begun(route: RouteSettings, now_s: float) -> list[tuple[str, float]]:
    if route.mode == "live":
        return [(EPOCH, 100.0)]
    steps = sorted(route.percent or [], key=lambda step: step.from_)
    return [(step.from_.isoformat(), step.percent) for step in steps if step.from_.timestamp() <= now_s]


def _kept(route: RouteSettings, now_s: float) -> int:
    return sum(step.from_.timestamp() <= now_s for step in route.percent or [])


def _edited(text: str, name: str, steps: Sequence[tuple[str, float]]) -> str:
    """Return the text with these steps in the route; everything else stays as it stands."""
    route = _route_node(text, name)
    listed = ", ".join(f'{{from: "{begins}", percent: {percent:g}}}' for begins, percent in steps)
    mode = f"mode: [{listed}]"
    while (place := _place_of_mode(route)) is not None:
        text = _without(text, route, place)
        route = _route_node(text, name)
    key, value = next(entry for entry in route.value if entry[0].value == "name")
    end = value.end_mark.index
    if route.flow_style:
        return f"{text[:end]}, {mode}{text[end:]}"
    line_end = text.find("\n", end)
    line_end = len(text) if line_end < 0 else line_end  # a comment behind the name stays there
    return f"{text[:line_end]}\n{' ' * key.start_mark.column}{mode}{text[line_end:]}"


def _place_of_mode(route: Any) -> int | None:
    keys = [key.value for key, _ in route.value]
    return next((place for place, key in enumerate(keys) if key in ("mode", "percent")), None)


def _without(text: str, route: Any, place: int) -> str:
    """Return the text without one key of the route and its value."""
    key, value = route.value[place]
    following = route.value[place + 1][0].start_mark if place + 1 < len(route.value) else None
    if route.flow_style or place == 0:
        if following is not None:
            return text[: key.start_mark.index] + text[following.index :]
        before = text[: key.start_mark.index].rstrip().removesuffix(",")
        return before + text[value.end_mark.index :]
    lines = text.splitlines(keepends=True)
    end = value.end_mark.line
    if isinstance(value, yaml.ScalarNode) or value.flow_style:
        end += 1
    while end > key.start_mark.line + 1 and _is_aside(lines[end - 1], key.start_mark.column):
        end -= 1
    return "".join(lines[: key.start_mark.line] + lines[end:])


def _is_aside(line: str, column: int) -> bool:
    """Return whether a line is empty, or a comment that stands no deeper than the keys: it belongs to what follows."""
    stripped = line.strip()
    return not stripped or (stripped.startswith("#") and len(line) - len(line.lstrip()) <= column)


def _route_node(text: str, name: str) -> Any:
    root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    routes = next((value for key, value in root.value if key.value == "routes"), None)
    for node in routes.value if isinstance(routes, yaml.SequenceNode) else ():
        if isinstance(node, yaml.MappingNode):
            names = [value.value for key, value in node.value if key.value == "name"]
            if names == [name]:
                return node
    raise TakeoverRefused(f"the route {name} is written in a form that cannot be edited: write its mode by hand")


def _check(path: Path, text: str, name: str) -> None:
    """Return only if the edited text is a valid table that differs from the old one in this route's mode alone."""
    before = {route.name: route for route in load_routing_table(path).routes}
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".yaml", encoding="utf-8") as new:
        new.write(text)
        new.flush()
        try:
            after = {route.name: route for route in load_routing_table(Path(new.name)).routes}
        except ConfigError as error:
            mistake = error.mistakes[0]
            raise TakeoverRefused(f"the table would not be valid ({mistake}): write its mode by hand") from None
    plain = {key: _plain(route) for key, route in before.items()}
    if plain != {key: _plain(route) for key, route in after.items()}:
        raise TakeoverRefused(f"the route {name} is written in a form that cannot be edited: write its mode by hand")


def _plain(route: RouteSettings) -> dict[str, Any]:
    return route.model_dump(exclude={"mode", "percent"})
