"""A connector: code that speaks to one service. The contract that every file in ``connectors/actions/`` keeps.

A file declares one `Connector` under its own name and decorates each action::

    crm = Connector("crm", CrmSettings)

    @crm.action
    async def add_contact(call: Call, *, email: str) -> None:
        ...

An action returns when the service has accepted the call, and raises a `connectors.errors.CallError` otherwise. It is
called at least once a delivery, always with the same `Call.idempotency_key`.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from connectors.parameters import ParameterMistake, check_parameters, parameters_model, read_parameters
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
    "ParameterMistake",
    "Rate",
    "RetrySettings",
    "rate_per_s",
]

ActionFunction = TypeVar("ActionFunction", bound=Callable[..., Awaitable[None]])


@dataclass(slots=True)
class Call:
    """What an action gets besides its parameters, made anew for each attempt.

    ``client`` speaks HTTP to the destination and sends the idempotency key by itself. ``secrets`` holds the values of
    the settings' ``*_env`` keys, by those keys. ``prepared`` is what the connector's ``prepare`` returned.
    """

    client: Client
    settings: Any  # the connector's own subclass of DestinationSettings
    idempotency_key: str
    destination: str
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    prepared: Any = field(default=None, repr=False)


@dataclass(frozen=True)
class Action:
    """One thing that a connector can do."""

    name: str
    call: Callable[..., Awaitable[None]]

    @property
    def doc(self) -> str:
        """The docstring: its first sentence names the delivery guarantee."""
        return inspect.getdoc(self.call) or ""

    @cached_property
    def parameters(self) -> type[BaseModel]:
        """The model of what ``with`` may hold."""
        return parameters_model(self.name, self.call)

    def check(self, mapping: Mapping[str, object]) -> list[ParameterMistake]:
        """Return every mistake in a route's ``with`` as written; expressions pass."""
        return check_parameters(self.parameters, mapping)

    def read(self, rendered: Mapping[str, object]) -> dict[str, Any]:
        """Return the arguments of a call out of a rendered mapping.

        Raises:
            PermanentError: they do not fit the action.
        """
        return read_parameters(self.parameters, rendered)


class Connector:
    """The actions of one service, and the settings of its destinations."""

    def __init__(
        self,
        name: str,
        settings_model: type[DestinationSettings] = DestinationSettings,
        *,
        prepare: Callable[[Any], object] | None = None,
    ) -> None:
        """Declare a connector.

        ``prepare`` is called once with the settings when a destination starts; its result is each call's ``prepared``.
        It raises `ValueError`, with a sentence for the operator, if the destination cannot work.
        """
        self.name = name
        self.settings_model = settings_model
        self.prepare = prepare
        self.actions: dict[str, Action] = {}

    def action(self, function: ActionFunction) -> ActionFunction:
        """Declare ``async def name(call, *, parameters…) -> None`` an action of this connector."""
        name = function.__name__
        self.actions[name] = Action(name, function)
        return function
