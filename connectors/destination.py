"""One configured account at work: its connections, slots, rate and circuit. What the delivery consumer calls."""

from __future__ import annotations

import asyncio
import random as random_module
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from connectors.attempt import EXCERPT_CHARS_MAX, Attempt
from connectors.breaker import Admission, CircuitBreaker, State
from connectors.client import Session
from connectors.connector import Action, Call, Connector, DestinationSettings, Resource
from connectors.errors import (
    CallError,
    PermanentError,
    RateLimited,
    TimeoutExceeded,
    TransientError,
    Unreachable,
    place_of,
)
from connectors.interruption import Interrupted, Interruption
from connectors.metrics import CIRCUIT_VALUES, ConnectorMetrics
from connectors.rate_limit import RateLimiter
from connectors.retry import call_with_retries
from connectors.settings import rate_per_s
from connectors.tracing import Tracing
from connectors.turns import Turns

__all__ = ["Destination", "Interrupted", "Settled"]

FAILURES_KEPT = 3
KEPT_PART = 10  # one slot in ten is kept for each kind of call
CLOSE_S_MAX = 5.0
LEAVE_S_MAX = 0.1  # how long a call that circuit and rate let go may still be held up
MADE_CHARS_MAX = 200
DELIVERY_ID_CHARS = 64  # what follows in an idempotency key is a replay's number

log = structlog.get_logger("connectors")


@dataclass(frozen=True, slots=True)
class Settled:
    """A round that succeeded: how many calls it took, and the HTTP status of the last one if there was one.

    ``made`` is how the service names what was made, where the action tells.
    """

    attempts: int
    status: int | None
    made: str = ""


class Destination:
    """One configured account at work: its client, limiter, breaker, slots."""

    def __init__(
        self,
        name: str,
        settings: DestinationSettings,
        connector: Connector,
        *,
        secrets: Mapping[str, str],
        metrics: ConnectorMetrics,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = random_module.random,
        unix_time: Callable[[], float] = time.time,
        on_circuit_opened: Callable[[str], None] = lambda reason: None,
        tracing: Tracing | None = None,
    ) -> None:
        """Prepare a destination; `start` opens it.

        ``secrets`` holds the values of ``settings.secret_envs()``, by the same keys. ``on_circuit_opened`` is called
        with the last failure when the circuit opens that was closed, not when a probe failed.
        """
        self.name = name
        self._tracing = tracing or Tracing()
        self.settings = settings
        self._connector = connector
        self._secrets = secrets
        self._now = now
        self._sleep = sleep
        self._random = random
        self._unix_time = unix_time
        self._metrics = metrics.of(name)
        self._metrics.circuit_open.set(0)
        rate = None if settings.rate is None else rate_per_s(settings.rate)
        self.limiter = RateLimiter(rate, now=now, sleep=sleep, on_held=self._metrics.held)
        self._on_circuit_opened = on_circuit_opened
        self._circuit: State = "closed"
        self._last_failure = ""
        circuit = settings.circuit
        self.breaker = CircuitBreaker(
            circuit.failures, circuit.open_s, now=now, sleep=sleep, on_change=self._circuit_changed
        )
        self._slots = Turns(settings.concurrency)
        self._interruption = Interruption()
        self._prepared: Resource | None = None
        self._backoffs_until_s: dict[_Round, float] = {}
        self._called_s = float("-inf")  # when the last call began
        self.in_flight = 0
        self._session = Session(
            settings.endpoint(secrets),
            secrets=secrets.values(),
            dialect=connector.dialect,
            tracing=self._tracing,
            on_exhausted=self._block,
            on_quota=lambda quota: self.limiter.learn(quota, in_flight=self.in_flight),
            unix_time=unix_time,
        )

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
                self._prepared = await self._connector.prepare(self.settings, self._secrets)
        except BaseException:
            await self._session.close()
            raise

    async def close(self) -> None:
        """End all waits and close the connections; calls still in flight fail with `Unreachable`."""
        self.interrupt_backoff()
        try:
            if self._prepared is not None:
                async with asyncio.timeout(CLOSE_S_MAX):
                    await self._prepared.close()
        except Exception as error:  # whatever a driver makes of a connection that is broken already
            log.warning("destination_not_closed", destination=self.name, error=place_of(error))
        finally:
            await self._session.close()

    def share(self, numerator: int, denominator: int) -> None:
        """Take the part of the rate that belongs to ``numerator`` partitions of ``denominator``."""
        self.limiter.share(numerator, denominator)

    def prioritize(self) -> None:
        """Keep a tenth of the slots, at least one of two, for calls of high priority, and as many for the others."""
        self._slots.keep(max(1, self.settings.concurrency // KEPT_PART) if self.settings.concurrency > 1 else 0)

    @property
    def waits(self) -> bool:
        """Whether it is known what calls wait for, and until when: circuit, rate, backoff, or an answer in its time."""
        now_s = self._now()
        return (
            self.breaker.state == "open"
            or self.limiter.waits_until_s > now_s
            or max(self._backoffs_until_s.values(), default=now_s) > now_s
            or (self.in_flight > 0 and self._called_s + self.settings.timeout_s > now_s)
        )

    def interrupt_backoff(self) -> None:
        """Make every wait (slot, rate, circuit, backoff) of the calls made so far end with `Interrupted`.

        Calls in flight go on. Calls made afterwards are as usual.
        """
        self._interruption.interrupt()

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
        round_ = _Round(self, chosen, arguments, idempotency_key, before_attempt, high=high)
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

    def _block(self, wait_s: float) -> None:
        if self.limiter.block_for(wait_s):
            log.warning("destination_rate_limited", destination=self.name, wait_s=round(self.limiter.blocked_s, 1))

    def _circuit_changed(self, state: State) -> None:
        self._metrics.circuit_open.set(CIRCUIT_VALUES[state])
        write = log.warning if state == "open" else log.info
        write(f"circuit_{state}", destination=self.name)
        was, self._circuit = self._circuit, state
        if (was, state) == ("closed", "open"):
            self._on_circuit_opened(self._last_failure)


class _Round:
    """The attempts of one call of `Destination.call`."""

    __slots__ = (
        "_action",
        "_arguments",
        "_at",
        "_attempts",
        "_before_attempt",
        "_failures",
        "_high",
        "_key",
        "_made",
        "_period",
        "_status",
    )

    def __init__(
        self,
        at: Destination,
        action: Action,
        arguments: dict[str, Any],
        key: str,
        before_attempt: Callable[[], Awaitable[None]],
        *,
        high: bool,
    ) -> None:
        self._at = at
        self._high = high
        self._action = action
        self._arguments = arguments
        self._key = key
        self._before_attempt = before_attempt
        self._period = at._interruption.period
        self._attempts = 0
        self._failures: deque[Attempt] = deque(maxlen=FAILURES_KEPT)
        self._status: int | None = None
        self._made = ""

    async def run(self, *, in_place: bool) -> Settled:
        retry, random = self._at.settings.retry, self._at._random
        try:
            await call_with_retries(self._attempt, retry, sleep=self._back_off, random=random, in_place=in_place)
        except CallError as error:
            error.attempts = self._attempts
            error.failures = tuple(self._failures)
            raise
        return Settled(self._attempts, self._status, self._made)

    async def _back_off(self, seconds: float) -> None:
        at = self._at
        at._backoffs_until_s[self] = at._now() + seconds
        try:
            async with at._interruption.interruptible(self._period):
                await at._sleep(seconds)
        finally:
            del at._backoffs_until_s[self]

    async def _attempt(self) -> None:
        admission = await self._enter()
        try:
            while not await self._is_next():
                # All that were held up would go at once by the leave that each of them was given at its own time.
                admission.abandoned()
                async with self._at._interruption.interruptible(self._period):
                    admission = await self._admit()
            error = await self._call()
        except BaseException:
            admission.abandoned()
            raise
        finally:
            self._at._slots.give_back(self._high)
        if error is not None:
            self._at._last_failure = str(error)
        _report(admission, error)
        if error is not None:
            self._heed(error)
            raise error

    async def _enter(self) -> Admission:
        """Wait for a slot, the circuit and the rate; on return the slot is held."""
        async with self._at._interruption.interruptible(self._period):
            await self._at._slots.take(self._high)
            try:
                return await self._admit()
            except BaseException:
                self._at._slots.give_back(self._high)
                raise

    async def _admit(self) -> Admission:
        while True:
            admission = await self._at.breaker.admit()
            try:
                waited_s = await self._at.limiter.acquire(high=self._high)
            except BaseException:
                admission.abandoned()
                raise
            if waited_s > 0 or self._at.settings.rate is not None:
                self._at._metrics.rate_limit_wait_s.observe(waited_s)
            if admission.is_current:
                return admission
            admission.abandoned()  # the circuit opened meanwhile: the token is lost, which errs on the slow side

    async def _is_next(self) -> bool:
        """Await ``before_attempt``, and return whether it took no time, so that circuit and rate are as they were."""
        since_s = self._at._now()
        self._at.in_flight += 1
        try:
            await self._before_attempt()
        finally:
            self._at.in_flight -= 1
        return self._at._now() - since_s < LEAVE_S_MAX

    async def _call(self) -> CallError | None:
        """Make the call, and return how it failed, if it did."""
        self._at.in_flight += 1
        try:
            return await self._traced_call()
        finally:
            self._at.in_flight -= 1

    async def _traced_call(self) -> CallError | None:
        tracing = self._at._tracing
        if not tracing.on:
            return await self._make_call()
        with tracing.span(
            f"attempt {self._at.name}", "client", attempt=self._attempts + 1, action=self._action.name
        ) as span:
            error = await self._make_call()
            if self._status is not None:
                span.note(status=self._status)
            if error is not None:
                span.fail(str(error))
            return error

    async def _make_call(self) -> CallError | None:
        at = self._at
        self._attempts += 1
        client = at._session.client(self._key)
        call = Call(client, at.settings, self._key, at.name, at._secrets, at._prepared, at._unix_time)
        started_s, time_ms = at._now(), int(at._unix_time() * 1000)
        at._called_s = started_s
        error: CallError | None = None
        try:
            async with asyncio.timeout(at.settings.timeout_s):
                made = await self._action.call(call, **self._arguments)
            self._made = _shown(at._session.mask.text(made)) if made else ""
        except CallError as raised:
            error = raised
        except TimeoutError:
            error = TimeoutExceeded(f"no answer within {at.settings.timeout_s:g} s")
        except (Exception, asyncio.CancelledError) as raised:
            if isinstance(raised, asyncio.CancelledError) and _is_cancelled():
                raise
            # A defect of the action, not of the delivery: nothing is lost while it is being mended.
            error = TransientError(f"the action {self._action.name} raised {place_of(raised)}")
        self._status = client.status
        duration_s = at._now() - started_s
        at._metrics.attempted(error, duration_s)
        if error is not None:
            self._note(error, time_ms, duration_s)
        else:
            log.debug("attempt_succeeded", destination=at.name, attempt=self._attempts, status=client.status)
        return error

    def _note(self, error: CallError, time_ms: int, duration_s: float) -> None:
        """Keep and log a failed attempt; only here does a text leave that a service, or a user's code, has written."""
        mask = self._at._session.mask
        text, excerpt = mask.text(str(error)), mask.text(error.excerpt)[:EXCERPT_CHARS_MAX]
        error.args = (text,)
        failure = Attempt(time_ms, round(duration_s, 4), error.status, text, excerpt)
        self._failures.append(failure)
        log.warning(
            "attempt_failed",
            destination=self._at.name,
            action=self._action.name,
            delivery_id=self._key[:DELIVERY_ID_CHARS],
            attempt=self._attempts,
            status=error.status,
            duration_s=failure.duration_s,
            error=text,
            **({"answer": excerpt} if excerpt else {}),
        )

    def _heed(self, error: CallError) -> None:
        """Leave the whole destination alone for as long as it asks."""
        if isinstance(error, RateLimited):
            asked_s = error.retry_after_s
            self._at._block(self._at.settings.retry.backoff_s[0] if asked_s is None else asked_s)
        elif isinstance(error, TransientError) and error.status == 503 and error.retry_after_s:
            self._at._block(error.retry_after_s)


def _is_cancelled() -> bool:
    """Return whether somebody cancels this task; else the action awaited something that was cancelled."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _report(admission: Admission, error: CallError | None) -> None:
    """Tell the circuit: 5xx, timeouts and connection errors count; any other answer is a sign of health.

    A 5xx that is a refusal for good, as of a mail by SMTP, is about the call, and not about the destination.
    """
    status = None if error is None else error.status
    failing = isinstance(error, TransientError) and status is not None and status >= 500
    if failing or isinstance(error, TimeoutExceeded | Unreachable):
        admission.failed()
    elif error is None or status is not None:
        admission.succeeded()
    else:
        admission.abandoned()  # refused before it was sent, or a defect of the action: says nothing


def _shown(made: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in made[:MADE_CHARS_MAX])
