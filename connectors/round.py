"""One round: the attempts of one call, each bounded, judged, kept and logged."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from connectors.attempt import EXCERPT_CHARS_MAX, Attempt
from connectors.client import Session
from connectors.connector import Action, Call, DestinationSettings, Resource
from connectors.errors import CallError, TimeoutExceeded, TransientError, place_of
from connectors.gate import Gate
from connectors.metrics import DestinationMetrics
from connectors.retry import call_with_retries
from connectors.tracing import Tracing

FAILURES_KEPT = 3
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


@dataclass(slots=True)
class Account:
    """What the calls of one configured account are made with; ``prepared`` is there once the destination is open."""

    name: str
    settings: DestinationSettings
    secrets: Mapping[str, str] = field(repr=False)
    session: Session
    metrics: DestinationMetrics
    tracing: Tracing
    now: Callable[[], float]
    unix_time: Callable[[], float]
    random: Callable[[], float]
    prepared: Resource | None = None


class Round:
    """The attempts of one call of ``action`` at an account."""

    __slots__ = (
        "_account",
        "_action",
        "_arguments",
        "_attempts",
        "_before_attempt",
        "_failures",
        "_gate",
        "_high",
        "_key",
        "_made",
        "_period",
        "_status",
    )

    def __init__(
        self,
        account: Account,
        gate: Gate,
        action: Action,
        arguments: dict[str, Any],
        key: str,
        before_attempt: Callable[[], Awaitable[None]],
        *,
        high: bool,
    ) -> None:
        self._account = account
        self._gate = gate
        self._high = high
        self._action = action
        self._arguments = arguments
        self._key = key
        self._before_attempt = before_attempt
        self._period = gate.period
        self._attempts = 0
        self._failures: deque[Attempt] = deque(maxlen=FAILURES_KEPT)
        self._status: int | None = None
        self._made = ""

    async def run(self, *, in_place: bool) -> Settled:
        """Carry the round out, as `connectors.destination.Destination.call` says, and raises."""
        retry, random = self._account.settings.retry, self._account.random
        try:
            await call_with_retries(self._attempt, retry, sleep=self._back_off, random=random, in_place=in_place)
        except CallError as error:
            error.attempts = self._attempts
            error.failures = tuple(self._failures)
            raise
        return Settled(self._attempts, self._status, self._made)

    async def _back_off(self, seconds: float) -> None:
        await self._gate.back_off(self, self._period, seconds)

    async def _attempt(self) -> None:
        admission = await self._gate.enter(self._period, high=self._high)
        try:
            while not await self._is_next():
                # All that were held up would go at once by the leave that each of them was given at its own time.
                admission.abandoned()
                admission = await self._gate.admit_again(self._period, high=self._high)
            with self._gate.flying():
                error = await self._call()
        except BaseException:
            admission.abandoned()
            raise
        finally:
            self._gate.leave(high=self._high)
        self._gate.report(admission, error)
        if error is not None:
            raise error

    async def _is_next(self) -> bool:
        """Await ``before_attempt``, and return whether it took no time, so that circuit and rate are as they were."""
        since_s = self._account.now()
        with self._gate.flying():
            await self._before_attempt()
        return self._account.now() - since_s < LEAVE_S_MAX

    async def _call(self) -> CallError | None:
        """Make the call, and return how it failed, if it did."""
        account = self._account
        if not account.tracing.on:
            return await self._make_call()
        with account.tracing.span(
            f"attempt {account.name}", "client", attempt=self._attempts + 1, action=self._action.name
        ) as span:
            error = await self._make_call()
            if self._status is not None:
                span.note(status=self._status)
            if error is not None:
                span.fail(str(error))
            return error

    async def _make_call(self) -> CallError | None:
        account = self._account
        self._attempts += 1
        client = account.session.client(self._key)
        call = Call(
            client, account.settings, self._key, account.name, account.secrets, account.prepared, account.unix_time
        )
        started_s, time_ms = account.now(), int(account.unix_time() * 1000)
        self._gate.calling()
        error: CallError | None = None
        try:
            async with asyncio.timeout(account.settings.timeout_s):
                made = await self._action.call(call, **self._arguments)
            self._made = _shown(account.session.mask.text(made)) if made else ""
        except CallError as raised:
            error = raised
        except TimeoutError:
            error = TimeoutExceeded(f"no answer within {account.settings.timeout_s:g} s")
        except (Exception, asyncio.CancelledError) as raised:
            if isinstance(raised, asyncio.CancelledError) and _is_cancelled():
                raise
            # A defect of the action, not of the delivery: nothing is lost while it is being mended.
            error = TransientError(f"the action {self._action.name} raised {place_of(raised)}")
        self._status = client.status
        duration_s = account.now() - started_s
        account.metrics.attempted(error, duration_s)
        if error is not None:
            self._note(error, time_ms, duration_s)
        else:
            log.debug("attempt_succeeded", destination=account.name, attempt=self._attempts, status=client.status)
        return error

    def _note(self, error: CallError, time_ms: int, duration_s: float) -> None:
        """Keep and log a failed attempt; only here does a text leave that a service, or a user's code, has written."""
        mask = self._account.session.mask
        text, excerpt = mask.text(str(error)), mask.text(error.excerpt)[:EXCERPT_CHARS_MAX]
        error.args = (text,)
        failure = Attempt(time_ms, round(duration_s, 4), error.status, text, excerpt)
        self._failures.append(failure)
        log.warning(
            "attempt_failed",
            destination=self._account.name,
            action=self._action.name,
            delivery_id=self._key[:DELIVERY_ID_CHARS],
            attempt=self._attempts,
            status=error.status,
            duration_s=failure.duration_s,
            error=text,
            **({"answer": excerpt} if excerpt else {}),
        )


def _is_cancelled() -> bool:
    """Return whether somebody cancels this task; else the action awaited something that was cancelled."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _shown(made: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in made[:MADE_CHARS_MAX])
