"""What one rendering may take: steps, processor time and characters, so that no event can hold up a worker.

An event chooses the operands of the operator's expressions: how long a list is that a loop walks, how wide a column,
how large a factor. Steps are counted, so that the same event always fails in the same way; the processor time of the
thread, which other work does not lengthen, is the backstop for what counting misses.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from jinja2 import Undefined
from jinja2.exceptions import SecurityError

STEPS_MAX = 500_000
CPU_S_MAX = 0.5
CHARS_MAX = 8 * 1024 * 1024  # of a text, and of what a template renders
CHARS_PER_STEP = 64
_SPENDINGS_PER_LOOK = 64  # reading the thread's time is a system call


class Budget:
    """The budget of one rendering. Whatever exceeds it is a `SecurityError`."""

    __slots__ = ("_cpu_s", "_ends_s", "_looks", "_steps")

    def __init__(self, *, cpu_s: Callable[[], float] = time.thread_time) -> None:
        self._steps = STEPS_MAX
        self._looks = _SPENDINGS_PER_LOOK
        self._cpu_s = cpu_s
        self._ends_s = cpu_s() + CPU_S_MAX

    def spend(self, steps: int) -> None:
        """Take ``steps`` off what is left."""
        self._steps -= steps
        self._looks -= 1
        if self._steps < 0:
            raise SecurityError(f"it takes more than {STEPS_MAX} steps")
        if self._looks <= 0:
            self._looks = _SPENDINGS_PER_LOOK
            if self._cpu_s() > self._ends_s:
                raise SecurityError(f"it takes more than {CPU_S_MAX:g} s")

    def counted(self, values: Iterable[object]) -> Iterator[object]:
        """Yield ``values``, a step for each."""
        for value in values:
            self.spend(1)
            yield value

    def measured(self, value: object) -> object:
        """Return ``value`` when its whole tree fits into the budget: a list of lists of itself is a tree too."""
        pending = [value]
        while pending:
            one = pending.pop()
            if isinstance(one, str):
                self.spend(1 + len(one) // CHARS_PER_STEP)
            elif isinstance(one, Mapping):
                self.spend(1)
                pending += [*one.keys(), *one.values()]
            elif isinstance(one, list | tuple):
                self.spend(1 + len(one) // 8)
                pending += one
            else:
                self.spend(1)
        return value

    def result(self, value: object) -> object:
        """Return what an operation gave: a text of bounded length, an iterator that is counted, or as it is."""
        if isinstance(value, str):
            self.chars(len(value))
            return value
        if isinstance(value, Iterator):
            return self.counted(value)
        return value

    def chars(self, count: int) -> None:
        """Refuse a text of more than `CHARS_MAX` characters, before there is one where that can be told."""
        if count > CHARS_MAX:
            raise SecurityError(f"the result is longer than {CHARS_MAX} characters")
        self.spend(1 + count // CHARS_PER_STEP)

    def text(self, value: object) -> str:
        """Return the text of ``value`` as a template shows it."""
        if isinstance(value, list | tuple | Mapping):
            self.measured(value)
        if isinstance(value, Undefined):
            return str(value)  # says which name is missing
        text = str(value)
        self.chars(len(text))
        return text


def steps_of(value: object) -> int:
    """Return what looking at the whole of ``value`` costs: its length, where it has one."""
    if isinstance(value, str):
        return 1 + len(value) // CHARS_PER_STEP
    return 1 + len(value) if isinstance(value, list | tuple | Mapping) else 1
