"""A connector: code that speaks to one service. The contract that every file in ``connectors/actions/`` keeps.

A file declares one `Connector` under its own name and decorates each action::

    crm = Connector("crm", CrmSettings)

    @crm.action
    async def add_contact(call: Call, *, email: str) -> None:
        ...

An action returns when the service has accepted the call, and raises a `connectors.errors.CallError` otherwise. It is
called at least once a delivery, always with the same `Call.idempotency_key`. What it returns, if anything, is a short
text for people: how the service names what was made.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pydantic import BaseModel

from connectors.dialect import Dialect
from connectors.errors import PermanentError
from connectors.parameters import ParameterMistake, check_parameters, parameters_model, read_parameters, url_paths
from connectors.rules import Given, Rule
from connectors.settings import CircuitSettings, DestinationSettings, EnvName, Rate, RetrySettings, rate_per_s

if TYPE_CHECKING:  # httpx takes a tenth of a second to import, and checking a routing table needs none of it
    from connectors.client import Client

__all__ = [
    "Action",
    "Call",
    "CircuitSettings",
    "Connector",
    "DestinationSettings",
    "EnvName",
    "Extra",
    "ParameterMistake",
    "Rate",
    "Resource",
    "RetrySettings",
    "rate_per_s",
]

ActionFunction = TypeVar("ActionFunction", bound=Callable[..., Awaitable[str | None]])


class Resource(Protocol):
    """What a connector that makes no HTTP calls keeps open between calls: a pool, a producer, a process."""

    async def close(self) -> None:
        """Give it back; called once, when no call is in flight any more or the time for that is over."""


Prepare = Callable[[Any, Mapping[str, str]], Awaitable[Resource]]


@dataclass(frozen=True, slots=True)
class Extra:
    """An optional library: the ``module`` to import, and the ``name`` of Headrace's extra that brings it."""

    module: str
    name: str

    @property
    def missing(self) -> str:
        """What to do about it, if it is not installed; else ``""``."""
        if find_spec(self.module) is not None:
            return ""
        return f"needs {self.module}, which is not installed: pip install 'headrace[{self.name}]'"


@dataclass(slots=True)
class Call:
    """What an action gets besides its parameters, made anew for each attempt.

    ``client`` speaks HTTP to the destination and sends the idempotency key by itself. ``secrets`` holds the values of
    the settings' ``*_env`` keys, by those keys. ``prepared`` is what the connector's ``prepare`` returned. ``time_s``
    is Unix time.
    """

    client: Client
    settings: Any  # the connector's own subclass of DestinationSettings
    idempotency_key: str
    destination: str
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    prepared: Any = field(default=None, repr=False)
    time_s: Callable[[], float] = field(default=time.time, repr=False)


@dataclass(frozen=True)
class Action:
    """One thing that a connector can do."""

    name: str
    call: Callable[..., Awaitable[str | None]]
    rules: tuple[Rule, ...] = ()

    @property
    def doc(self) -> str:
        """The docstring: its first sentence names the delivery guarantee."""
        return inspect.getdoc(self.call) or ""

    @cached_property
    def parameters(self) -> type[BaseModel]:
        """The model of what ``with`` may hold."""
        return parameters_model(self.name, self.call)

    @cached_property
    def url_paths(self) -> frozenset[str]:
        """The parameters that are a URL's path."""
        return url_paths(self.call)

    def check(self, mapping: Mapping[str, object], settings: object = None) -> list[ParameterMistake]:
        """Return every mistake in a route's ``with`` as written; expressions pass.

        ``settings`` are those of the destination, ``None`` if they are not valid.
        """
        found = check_parameters(self.parameters, mapping, self.url_paths)
        if any(name not in self.parameters.model_fields for name in mapping):
            return found  # misspelt, it is what a rule misses
        given = Given(mapping, written=True)
        return [*found, *(ParameterMistake((), said) for rule in self.rules if (said := rule(given, settings)))]

    def read(self, rendered: Mapping[str, object], settings: object = None) -> dict[str, Any]:
        """Return the arguments of a call out of a rendered mapping; ``settings`` are the destination's, if known.

        Raises:
            PermanentError: they do not fit the action.
        """
        arguments = read_parameters(self.parameters, rendered)
        for rule in self.rules:
            if said := rule(Given(arguments), settings):
                raise PermanentError(f"the rendered parameters do not fit the action: {said}")
        return arguments


class Connector:
    """The actions of one service, and the settings of its destinations."""

    def __init__(
        self,
        name: str,
        settings_model: type[DestinationSettings] = DestinationSettings,
        *,
        prepare: Prepare | None = None,
        dialect: Dialect | None = None,
        extra: Extra | None = None,
        sees_environment: bool = False,
    ) -> None:
        """Declare a connector.

        ``prepare`` is awaited once with the settings and secrets when a destination starts; its result is each call's
        ``prepared``, and is closed with the destination. It raises `ValueError`, with a sentence for the operator, if
        the destination can never work as it is configured; a server that is away now is not such a case. ``dialect``
        is what is peculiar to the service's answers, and ``extra`` the optional library that the connector needs. One
        that ``sees_environment`` may be told, and tell, any secret of the worker, and not only its destination's.
        """
        self.name = name
        self.settings_model = settings_model
        self.prepare = prepare
        self.dialect = dialect
        self.extra = extra
        self.sees_environment = sees_environment
        self.actions: dict[str, Action] = {}

    def action(self, function: ActionFunction) -> ActionFunction:
        """Declare ``async def name(call, *, parameters…) -> str | None`` an action of this connector."""
        return self.action_with()(function)

    def action_with(self, *rules: Rule) -> Callable[[ActionFunction], ActionFunction]:
        """Declare an action as `action` does, whose parameters keep ``rules``: it need not check them itself."""

        def declare(function: ActionFunction) -> ActionFunction:
            name = function.__name__
            self.actions[name] = Action(name, function, rules)
            return function

        return declare
