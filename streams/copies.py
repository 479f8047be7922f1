"""The copies of a delivery that a crash writes, so that an identical one is not called again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from streams.dead_letter import LETTER_HEADER

COPIES_MAX = 1024  # of a partition: more than fan-out has in flight
_SHARED_BY_COPIES = (
    "headrace-receipt",
    "headrace-route",
    "headrace-item",
    "headrace-round",
    "headrace-replay",
    "headrace-key-replay",
)

Copy = tuple[bytes | None, ...]


class RecentCopies:
    """The deliveries that one partition held lately, so that an identical copy is not called again.

    A crash of fan-out between publishing and marking, or of the retries between forwarding and committing, writes a
    delivery twice, close together. A copy is the same event record on the same route in the same round and replay:
    a provider's repeat has another receipt, and a delivery that comes back has another round or replay.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[Copy, None] = OrderedDict()

    def add(self, copy: Copy | None) -> bool:
        """Note a delivery; return whether it is the first of its kind. ``None`` (unreadable) always is."""
        if copy is None:
            return True
        if copy in self._known:
            return False
        self._known[copy] = None
        if len(self._known) > COPIES_MAX:
            self._known.popitem(last=False)
        return True

    def forget(self, copy: Copy | None) -> None:
        """Let the same delivery come again: it was handed on to another queue, which may hand it back."""
        if copy is not None:
            self._known.pop(copy, None)


def copy_of(fields: Mapping[str, bytes]) -> Copy | None:
    """Return what identical copies of a delivery share, or ``None`` for a record that is no delivery."""
    if "headrace-receipt" not in fields or LETTER_HEADER in fields:
        return None
    return tuple(fields.get(name) for name in _SHARED_BY_COPIES)
