"""The Jinja2 sandbox of expressions: what an event must not be able to do to a worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import StrictUndefined
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

NUMBER_BITS_MAX = 4096


class Sandbox(ImmutableSandboxedEnvironment):
    """The sandbox, in which a field of the event always wins over a method of ``dict``: ``body.items`` is a field."""

    # An event chooses the operands: "x" * 10**10 would take the worker's memory, and 9**9**9 its time.
    intercepted_binops = frozenset({"*", "**", "%"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return the field, else the attribute if it is safe, else undefined."""
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Return the result of an intercepted operator.

        Raises:
            SecurityError: the operands are not numbers, or the result is too large.
        """
        if isinstance(left, str | bytes | list | tuple) or isinstance(right, str | bytes | list | tuple):
            raise SecurityError(f"{operator!r} works on numbers alone")
        if operator == "**" and (abs(right) > NUMBER_BITS_MAX or _bits(left) * abs(right) > NUMBER_BITS_MAX):
            raise SecurityError("the power is too large")
        return super().call_binop(context, operator, left, right)


def _bits(number: Any) -> int:
    return number.bit_length() if isinstance(number, int) else 1  # a float overflows by itself


def sandbox() -> Sandbox:
    """Return an environment in which an expression reads the event and nothing else."""
    environment = Sandbox(
        undefined=StrictUndefined, autoescape=False, cache_size=0, keep_trailing_newline=True, extensions=()
    )
    environment.globals.clear()  # no range(), cycler(), lipsum()
    del environment.filters["random"]  # every attempt renders the same
    return environment
