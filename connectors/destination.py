"""One configured account at work: its connections, slots, rate and circuit. What the delivery consumer calls."""

from __future__ import annotations

import asyncio
import random as random_module
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping

import structlog

from connectors.client import Session
from connectors.connector import Connector, DestinationSettings
from connectors.errors import PermanentError, place_of
from connectors.gate import Gate
from connectors.interruption import Interrupted
from connectors.metrics import ConnectorMetrics
from connectors.round import Account, Round, Settled
from connectors.tracing import Tracing

__all__ = ["Destination", "Interrupted", "Settled"]

CLOSE_S_MAX = 5.0

log = structlog.get_logger("connectors")


class Destination:
    """One configured account at work: its client, limiter, breaker, slots."""

    def __init__(
        self,
        name: str,
        settings: DestinationSettings,
        connector: Connector,
        *,
        secrets: Mapping[str, str],
        masked: Iterable[str] = (),
        metrics: ConnectorMetrics,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = random_module.random,
        unix_time: Callable[[], float] = time.time,
        on_circuit_opened: Callable[[str], None] = lambda reason: None,
        tracing: Tracing | None = None,
    ) -> None:
        """Prepare a destination; `start` opens it.

        ``secrets`` holds the values of ``settings.secret_envs()``, by the same keys; ``masked`` are those of others,
        which are masked too where the connector ``sees_environment``. ``on_circuit_opened`` is called with the last
        failure when the circuit opens that was closed, not when a probe failed.
        """
        self.name = name
        self.settings = settings
        self._connector = connector
        of_it = metrics.of(name)
        self.gate = Gate(name, settings, of_it, now=now, sleep=sleep, on_circuit_opened=on_circuit_opened)
        self.limiter, self.breaker = self.gate.limiter, self.gate.breaker
        tracing = tracing or Tracing()
        self._session = Session(
            settings.endpoint(secrets),
            secrets=[*secrets.values(), *(masked if connector.sees_environment else ())],
            dialect=connector.dialect,
            tracing=tracing,
            on_exhausted=self.gate.block,
            on_quota=lambda quota: self.limiter.learn(quota, in_flight=self.in_flight),
            unix_time=unix_time,
        )
        self._account = Account(name, settings, secrets, self._session, of_it, tracing, now, unix_time, random)

    async def start(self) -> None:
        """Open the destination.

        Raises:
            ValueError: it cannot work, as with a Python module that does not import; says why.
        """
        extra = self._connector.extra
        if extra is not None and extra.missing:
            raise ValueError(f"the connector {self._connector.name} {extra.missing}")
        await self._session.start()
        try:
            if self._connector.prepare is not None:
                self._account.prepared = await self._connector.prepare(self.settings, self._account.secrets)
        except BaseException:
            await self._session.close()
            raise

    async def close(self) -> None:
        """End all waits and close the connections; calls still in flight fail with `Unreachable`."""
        self.interrupt_backoff()
        try:
            if self._account.prepared is not None:
                async with asyncio.timeout(CLOSE_S_MAX):
                    await self._account.prepared.close()
        except Exception as error:  # whatever a driver makes of a connection that is broken already
            log.warning("destination_not_closed", destination=self.name, error=place_of(error))
        finally:
            await self._session.close()

    def share(self, numerator: int, denominator: int) -> None:
        """Take the part of the rate that belongs to ``numerator`` partitions of ``denominator``."""
        self.limiter.share(numerator, denominator)

    def prioritize(self) -> None:
        """Keep a tenth of the slots, at least one of two, for calls of high priority, and as many for the others."""
        self.gate.prioritize()

    @property
    def in_flight(self) -> int:
        """How many calls are in flight, or about to be."""
        return self.gate.in_flight

    @property
    def waits(self) -> bool:
        """Whether it is known what calls wait for, and until when: circuit, rate, backoff, or an answer in its time."""
        return self.gate.waits

    def interrupt_backoff(self) -> None:
        """Make every wait (slot, rate, circuit, backoff) of the calls made so far end with `Interrupted`.

        Calls in flight go on. Calls made afterwards are as usual.
        """
        self.gate.interrupt()

    async def call(
        self,
        action: str,
        parameters: Mapping[str, object],
        *,
        idempotency_key: str,
        before_attempt: Callable[[], Awaitable[None]],
        high: bool = False,
        in_place: bool = False,
    ) -> Settled:
        """Carry out one round: up to ``retry.attempts`` calls of ``action``, with backoff in place.

        ``high`` goes before other calls to slot and rate.

        Before each attempt it waits for a slot, the circuit and the rate, which uses no attempt, and then awaits
        ``before_attempt`` immediately before the call: what that raises abandons the round and propagates untouched,
        and if it waits, it is awaited again after circuit and rate have let the call go once more.
        A backoff holds no slot. An attempt is bounded by ``timeout_s`` in all. A destination that asks for a longer
        wait than the longest backoff gets it from the caller: the round ends at once, but with ``in_place``, where it
        is waited out.

        Raises:
            PermanentError: refused for good, or the parameters do not fit the action.
            TransientError: every attempt failed, or the wait asked for is too long; ``retry_after_s`` has it.
            CredentialsRefused: 401 or 403.
            Interrupted: a wait was ended by `interrupt_backoff` or `close`.
            Each `CallError` has ``attempts``, its last ``failures`` and, if there was an answer, ``status``.
            Cancellation propagates.
        """
        chosen = self._connector.actions.get(action)
        if chosen is None:
            raise PermanentError(f"the connector {self._connector.name} has no action {action!r}")
        arguments = chosen.read(parameters, self.settings)
        round_ = Round(self._account, self.gate, chosen, arguments, idempotency_key, before_attempt, high=high)
        return await round_.run(in_place=in_place)

    def check(self, action: str, parameters: Mapping[str, object]) -> str:
        """Return what is wrong with the parameters of a call that is not made, ``""`` if they fit the action."""
        chosen = self._connector.actions.get(action)
        if chosen is None:
            return f"the connector {self._connector.name} has no action {action!r}"
        try:
            chosen.read(parameters, self.settings)
        except PermanentError as error:
            return str(error)
        return ""
