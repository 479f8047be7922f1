"""The circuit of one destination: after failures in a row nothing is called for a while, then one call is a probe.

Written here since no library at hand waits, lets exactly one probe through and takes it back when it is cancelled:
docs/adr/ has what was looked at.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Literal

State = Literal["closed", "open", "half_open"]


class CircuitBreaker:
    """Opens after ``failures`` in a row, for ``open_s``; then half-open: one probe at a time, whose end decides.

    A failure is what the caller says is one. The end of a call that was let through before the circuit opened says
    nothing about a circuit that is open or half-open, and is passed over.
    """

    def __init__(
        self,
        failures: int,
        open_s: float,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_change: Callable[[State], None] = lambda state: None,
    ) -> None:
        self._failures_max = failures
        self._open_s = open_s
        self._now = now
        self._sleep = sleep
        self._on_change = on_change
        self._failures = 0
        self._opened_s: float | None = None
        self._probe: Admission | None = None
        self._changed = asyncio.Event()
        self.period = 0  # counts openings and closings

    @property
    def state(self) -> State:
        """``open`` while nothing is called, ``half_open`` while a probe is wanted or out, else ``closed``."""
        if self._opened_s is None:
            return "closed"
        return "open" if self._probe is None and self._remaining_s() > 0 else "half_open"

    @property
    def is_open(self) -> bool:
        """Whether no call may go now: also True while a probe is out, and False once a probe is wanted."""
        return self._opened_s is not None and (self._probe is not None or self._remaining_s() > 0)

    async def wait_closed(self) -> None:
        """Return when a call may go: the circuit is closed, or a probe is wanted."""
        while self.is_open:
            if self._probe is not None:
                await self._changed.wait()
            else:
                await self._sleep(self._remaining_s())

    async def admit(self) -> Admission:
        """Wait until a call may go, and let it through. Its end must be told to the admission, whatever happens."""
        await self.wait_closed()
        admission = Admission(self, is_probe=self._opened_s is not None)
        if admission.is_probe:
            self._probe = admission
            self._on_change("half_open")
        return admission

    def _remaining_s(self) -> float:
        return 0.0 if self._opened_s is None else self._opened_s + self._open_s - self._now()

    def _end(self, admission: Admission, *, failed: bool | None) -> None:
        if admission is self._probe:
            self._probe = None
            if failed is None:  # not called, or not finished: the next one probes
                self._wake()
            else:
                self._open() if failed else self._close()
        elif admission.is_current and failed is not None:
            self._failures = self._failures + 1 if failed else 0
            if self._failures >= self._failures_max:
                self._open()

    def _open(self) -> None:
        self._opened_s = self._now()
        self._change("open")

    def _close(self) -> None:
        self._opened_s = None
        self._change("closed")

    def _change(self, state: State) -> None:
        self._failures = 0
        self.period += 1
        self._on_change(state)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Admission:
    """One call's leave to go. Exactly one of its ends is told; later ones are passed over."""

    __slots__ = ("_breaker", "_ended", "is_probe", "period")

    def __init__(self, breaker: CircuitBreaker, *, is_probe: bool) -> None:
        self._breaker = breaker
        self._ended = False
        self.is_probe = is_probe
        self.period = breaker.period

    @property
    def is_current(self) -> bool:
        """Whether the circuit is still as it was when this call was let through."""
        return self.period == self._breaker.period

    def succeeded(self) -> None:
        """The destination is well: the count of failures begins anew, and a probe closes the circuit."""
        self._end(failed=False)

    def failed(self) -> None:
        """The destination failed: enough of these in a row, or a failed probe, open the circuit."""
        self._end(failed=True)

    def abandoned(self) -> None:
        """The call was not made or not finished: says nothing, and gives a probe's place back."""
        self._end(failed=None)

    def _end(self, *, failed: bool | None) -> None:
        if not self._ended:
            self._ended = True
            self._breaker._end(self, failed=failed)
