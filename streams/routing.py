"""Routes: which events go to which action of which destination, and with what parameters."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from streams.event import OWN_SOURCE, Event
from streams.expression import NAMES, Expression, ExpressionError, Scope, Template
from streams.mirror import ACTION as MIRROR_ACTION
from streams.mirror import MirrorSettings, mirror_name
from streams.mode import WHOLE, Mode, Share, Steps, mode_fields

NAME_PATTERN = "^[a-z0-9][a-z0-9-]{0,62}$"
EVERY_SOURCE = "*"
LIVE, SHADOW = "live", "shadow"
ITEM = "item"  # in scope on a route with `each`
ITEMS_MAX = 1000  # of one event on one route

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
SourceName = Annotated[str, StringConstraints(pattern=r"^([a-z0-9][a-z0-9-]{0,62}|\*)$")]


class RouteSettings(BaseModel):
    """One entry of ``routes`` in the routing table."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    name: Name = Field(description="Names the route in logs, metrics and delivery ids. Unique.")
    source: SourceName | Annotated[list[Name], Field(min_length=1)] = Field(
        description='The source or list of sources whose events it takes; "*" is every source but headrace.'
    )
    when: str | None = Field(
        None, description="A condition on `body`, `event` and `headers`; without one, every event is taken."
    )
    each: str | None = Field(None, description="A list: one delivery for each `item` of it. At most 1,000.")
    priority: Literal["high", "normal"] = Field("normal", description="high: worked before what waits at normal.")
    ordered: bool = Field(
        False, description="Deliveries of one partition_by key one after another, in order, with no delayed retries."
    )
    to: Name = Field(description="The destination.")
    action: str = Field(description="An action of the destination's connector.")
    with_: dict[str, Any] = Field(
        default_factory=dict, alias="with", description="The action's parameters; their values may hold {{ … }}."
    )

    mode: Mode = Field(
        "live", description="live: carried out; shadow: rendered and recorded, nothing is called; percent: by steps."
    )
    percent: Steps | None = Field(None, description="With mode percent: how much is carried out, and from when on.")
    mirror: MirrorSettings | None = Field(
        None, description="A copy of each event to the system being replaced; with steps, of those not carried out."
    )

    @model_validator(mode="before")
    @classmethod
    def _mode_as_steps(cls, value: Any) -> Any:
        return mode_fields(value)

    @model_validator(mode="after")
    def _steps_go_with_percent(self) -> RouteSettings:
        if (self.mode == "percent") != (self.percent is not None):
            raise ValueError("mode percent needs its steps in percent, and no other mode has them")
        return self

    @property
    def share(self) -> Share:
        """How much of its events the route carries out."""
        return Share.of(self.mode, self.percent or [])

    @property
    def sources(self) -> frozenset[str] | None:
        """The sources whose events it takes; ``None`` stands for all but Headrace's own."""
        if self.source == EVERY_SOURCE:
            return None
        return frozenset([self.source] if isinstance(self.source, str) else self.source)


@dataclass(frozen=True, slots=True)
class Route:
    """A compiled route. ``sources`` ``None`` stands for all but Headrace's own."""

    name: str
    sources: frozenset[str] | None
    when: Expression | None
    each: Expression | None
    destination: str
    action: str
    parameters: Template
    high: bool = False
    ordered: bool = False
    share: Share = WHOLE
    mirrors: bool = False

    def carries(self, event: Event) -> str | None:
        """Return how it takes an event of its sources: `LIVE`, `SHADOW` (nothing is called), or ``None``: not at all.

        A mirror takes exactly what the route that it mirrors leaves to it.
        """
        if self.share.whole:
            return LIVE
        taken = self.share.takes(time_ms=event.time_ms, dedup_id=event.dedup_id)
        if self.mirrors:
            return None if taken else LIVE
        return LIVE if taken else SHADOW

    @property
    def looks_at_body(self) -> bool:
        """Whether fan-out has to parse the event."""
        return self.when is not None or self.each is not None

    def takes(self, source: str) -> bool:
        """Return whether it takes events of ``source``."""
        return source != OWN_SOURCE if self.sources is None else source in self.sources

    def matches(self, scope: Scope) -> bool:
        """Return whether the condition holds for an event of one of its sources.

        Raises:
            ExpressionError: the condition cannot be evaluated on this event.
        """
        return self.when is None or self.when.holds(scope)

    def items(self, scope: Scope) -> list[object]:
        """Return the items of this event, on a route with ``each``.

        Raises:
            ExpressionError: it cannot be evaluated, is not a list, or there are more than `ITEMS_MAX`.
        """
        assert self.each is not None  # noqa: S101  for mypy: asked for on a route with `each` alone
        try:
            items = self.each.evaluate(scope)
        except ExpressionError as error:
            raise ExpressionError(f"route {self.name}: each: {error}") from error
        if not isinstance(items, list):
            raise ExpressionError(f"route {self.name}: each: {self.each.source!r} is not a list")
        if len(items) > ITEMS_MAX:
            raise ExpressionError(f"route {self.name}: each: {len(items)} items, and at most {ITEMS_MAX} are allowed")
        return items

    def render(self, scope: Scope, item: int | None = None) -> dict[str, object]:
        """Return the action's parameters for this event, or for one item of it, by its index.

        Raises:
            ExpressionError: the mapping cannot be rendered on this event, or there is no such item.
        """
        if item is not None:
            items = self.items(scope)
            if item >= len(items):
                raise ExpressionError(f"route {self.name}: each: there is no item {item} among {len(items)}")
            scope = {**scope, ITEM: items[item]}
        try:
            rendered: dict[str, object] = self.parameters.render(scope)
        except ExpressionError as error:
            raise ExpressionError(f"route {self.name}: {error}") from error
        return rendered


class Routes:
    """All routes of a routing table, in its order."""

    def __init__(self, routes: Iterable[Route] = ()) -> None:
        self._routes = tuple(routes)
        self._by_name = {route.name: route for route in self._routes}
        self._shared = any(route.mirrors and not route.share.whole for route in self._routes)
        self._by_source: dict[str, tuple[Route, ...]] = {}  # filled on demand: as many entries as sources

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes)

    def __len__(self) -> int:
        return len(self._routes)

    def for_source(self, source: str) -> tuple[Route, ...]:
        """Return the routes that take events of ``source``, in the table's order."""
        found = self._by_source.get(source)
        if found is None:
            found = tuple(route for route in self._routes if route.takes(source))
            self._by_source[source] = found
        return found

    def order_matters(self, source: str) -> bool:
        """Return whether a route that takes events of ``source`` is ordered."""
        return any(route.ordered for route in self.for_source(source))

    def for_event(self, event: Event) -> tuple[Route, ...]:
        """Return the routes that take ``event``, conditions aside: no destination is told of its own trouble."""
        routes = self.for_source(event.source)
        if event.about:
            routes = tuple(route for route in routes if route.destination != event.about)
        if self._shared:
            routes = tuple(route for route in routes if route.carries(event) is not None)
        return routes

    def named(self, name: str) -> Route | None:
        """Return the route of this name, or ``None`` if it is no longer in the table."""
        return self._by_name.get(name)


def mapping_names(each: object) -> frozenset[str]:
    """Return the names that a route's mapping may use."""
    return NAMES if each is None else NAMES | {ITEM}


UrlPaths = Callable[[RouteSettings], Collection[str]]


def compile_route(settings: RouteSettings, url_paths: Collection[str] = frozenset()) -> Route:
    """Compile one route; ``url_paths`` are the parameters of its action that are a URL's path.

    Raises:
        ExpressionError: its condition or mapping is not valid.
    """
    return Route(
        share=settings.share,
        name=settings.name,
        sources=settings.sources,
        when=None if settings.when is None else Expression(settings.when),
        each=None if settings.each is None else Expression(settings.each),
        destination=settings.to,
        action=settings.action,
        parameters=Template(settings.with_, names=mapping_names(settings.each), url_paths=url_paths),
        high=settings.priority == "high",
        ordered=settings.ordered,
    )


def compile_mirror(settings: RouteSettings, mirror: MirrorSettings) -> Route:
    """Compile the mirror of a route. Where the route goes by steps it takes the rest, else a copy of everything.

    Raises:
        ExpressionError: its condition is not valid.
    """
    conditions = [f"({text})" for text in (settings.when, mirror.only) if text is not None]
    return Route(
        name=mirror_name(settings.name),
        sources=settings.sources,
        when=Expression(" and ".join(conditions)) if conditions else None,
        each=None,
        destination=mirror_name(settings.name),
        action=MIRROR_ACTION,
        parameters=Template({}),
        share=settings.share if settings.mode == "percent" else WHOLE,
        mirrors=True,
    )


def compile_routes(settings: Iterable[RouteSettings], url_paths: UrlPaths = lambda _: ()) -> Routes:
    """Compile the routes of a routing table; ``url_paths`` gives the parameters of a route's action that are such.

    Raises:
        ExpressionError: a condition or mapping is not valid; the text names its route.
    """
    routes = []
    for route in settings:
        try:
            routes.append(compile_route(route, url_paths(route)))
            if route.mirror is not None:
                routes.append(compile_mirror(route, route.mirror))
        except ExpressionError as error:
            raise ExpressionError(f"route {route.name}: {error}") from error
    return Routes(routes)
