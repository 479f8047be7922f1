"""The way to a destination: a call waits here for its slot, for the circuit and for the rate, and backs off here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager

import structlog

from connectors.breaker import Admission, CircuitBreaker, State
from connectors.errors import CallError, RateLimited, TimeoutExceeded, TransientError, Unreachable
from connectors.interruption import Interruption
from connectors.metrics import CIRCUIT_VALUES, DestinationMetrics
from connectors.rate_limit import RateLimiter
from connectors.settings import DestinationSettings, rate_per_s
from connectors.turns import Turns

KEPT_PART = 10  # one slot in ten is kept for each kind of call

log = structlog.get_logger("connectors")


class Gate:
    """What the calls of one destination have in common: slots, circuit, rate, and how each of them ended."""

    def __init__(
        self,
        name: str,
        settings: DestinationSettings,
        metrics: DestinationMetrics,
        *,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        on_circuit_opened: Callable[[str], None],
    ) -> None:
        """Open the gate; ``on_circuit_opened`` gets the last failure when the circuit opens that was closed."""
        self._name = name
        self._settings = settings
        self._metrics = metrics
        self._now = now
        self._sleep = sleep
        self._on_circuit_opened = on_circuit_opened
        metrics.circuit_open.set(0)
        rate = None if settings.rate is None else rate_per_s(settings.rate)
        self.limiter = RateLimiter(rate, now=now, sleep=sleep, on_held=metrics.held)
        circuit = settings.circuit
        self._circuit: State = "closed"
        self._last_failure = ""
        self.breaker = CircuitBreaker(
            circuit.failures, circuit.open_s, now=now, sleep=sleep, on_change=self._circuit_changed
        )
        self._slots = Turns(settings.concurrency)
        self._interruption = Interruption()
        self._backoffs_until_s: dict[Hashable, float] = {}
        self._called_s = float("-inf")  # when the last call began
        self.in_flight = 0

    def prioritize(self) -> None:
        """Keep a tenth of the slots, at least one of two, for calls of high priority, and as many for the others."""
        concurrency = self._settings.concurrency
        self._slots.keep(max(1, concurrency // KEPT_PART) if concurrency > 1 else 0)

    @property
    def waits(self) -> bool:
        """Whether it is known what calls wait for, and until when: circuit, rate, backoff, or an answer in its time."""
        now_s = self._now()
        return (
            self.breaker.state == "open"
            or self.limiter.waits_until_s > now_s
            or max(self._backoffs_until_s.values(), default=now_s) > now_s
            or (self.in_flight > 0 and self._called_s + self._settings.timeout_s > now_s)
        )

    @property
    def period(self) -> int:
        """What a round notes when it begins, so that an `interrupt` that comes later ends its waits."""
        return self._interruption.period

    def interrupt(self) -> None:
        """Make every wait of the rounds begun so far end with `Interrupted`; calls in flight go on."""
        self._interruption.interrupt()

    async def enter(self, period: int, *, high: bool) -> Admission:
        """Wait for a slot, the circuit and the rate; on return the slot is held until `leave`.

        Raises:
            Interrupted: the wait was ended by `interrupt`.
        """
        async with self._interruption.interruptible(period):
            await self._slots.take(high)
            try:
                return await self._admit(high)
            except BaseException:
                self._slots.give_back(high)
                raise

    async def admit_again(self, period: int, *, high: bool) -> Admission:
        """Wait for circuit and rate once more, with the slot held.

        Raises:
            Interrupted: the wait was ended by `interrupt`.
        """
        async with self._interruption.interruptible(period):
            return await self._admit(high)

    def leave(self, *, high: bool) -> None:
        """Give the slot back."""
        self._slots.give_back(high)

    async def _admit(self, high: bool) -> Admission:
        while True:
            admission = await self.breaker.admit()
            try:
                waited_s = await self.limiter.acquire(high=high)
            except BaseException:
                admission.abandoned()
                raise
            if waited_s > 0 or self._settings.rate is not None:
                self._metrics.rate_limit_wait_s.observe(waited_s)
            if admission.is_current:
                return admission
            admission.abandoned()  # the circuit opened meanwhile: the token is lost, which errs on the slow side

    async def back_off(self, who: Hashable, period: int, seconds: float) -> None:
        """Sleep, without a slot.

        Raises:
            Interrupted: it was ended by `interrupt`.
        """
        self._backoffs_until_s[who] = self._now() + seconds
        try:
            async with self._interruption.interruptible(period):
                await self._sleep(seconds)
        finally:
            del self._backoffs_until_s[who]

    @contextmanager
    def flying(self) -> Iterator[None]:
        """Count what the block does as a call in flight."""
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    def calling(self) -> None:
        """Note that a call begins now."""
        self._called_s = self._now()

    def report(self, admission: Admission, error: CallError | None) -> None:
        """Tell the circuit how a call ended: 5xx, timeouts and connection errors count, any other answer is health.

        A 5xx that is a refusal for good, as of a mail by SMTP, is about the call, and not about the destination. One
        that asks to be left alone is left alone.
        """
        if error is not None:
            self._last_failure = str(error)
        status = None if error is None else error.status
        failing = isinstance(error, TransientError) and status is not None and status >= 500
        if failing or isinstance(error, TimeoutExceeded | Unreachable):
            admission.failed()
        elif error is None or status is not None:
            admission.succeeded()
        else:
            admission.abandoned()  # refused before it was sent, or a defect of the action: says nothing
        if error is not None:
            self._heed(error)

    def _heed(self, error: CallError) -> None:
        if isinstance(error, RateLimited):
            asked_s = error.retry_after_s
            self.block(self._settings.retry.backoff_s[0] if asked_s is None else asked_s)
        elif isinstance(error, TransientError) and error.status == 503 and error.retry_after_s:
            self.block(error.retry_after_s)

    def block(self, wait_s: float) -> None:
        """Let nobody through for so long, as the destination asks."""
        if self.limiter.block_for(wait_s):
            log.warning("destination_rate_limited", destination=self._name, wait_s=round(self.limiter.blocked_s, 1))

    def _circuit_changed(self, state: State) -> None:
        self._metrics.circuit_open.set(CIRCUIT_VALUES[state])
        write = log.warning if state == "open" else log.info
        write(f"circuit_{state}", destination=self._name)
        was, self._circuit = self._circuit, state
        if (was, state) == ("closed", "open"):
            self._on_circuit_opened(self._last_failure)
