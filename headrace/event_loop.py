"""The event loop of ingest and workers: uvloop, and what aiokafka does not know of it.

A write to a connection that has just broken is an `OSError`, or nothing at all, with asyncio's own loop; uvloop raises
`RuntimeError` ("the handler is closed"). aiokafka 0.14 expects the first alone. With the second, what wrote ends for
good: where that is the task that keeps a client's metadata, everything that waits for metadata, such as looking for the
group's coordinator after a broker's restart, waits for ever, and a commit with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, TypeVar

import uvloop
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` to its end on uvloop, and all loops of other threads on it too."""
    mend_sends()
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    return uvloop.run(main)


def mend_sends() -> None:
    """Let a write to a broken connection raise what aiokafka expects; in this process, twice is the same as once."""
    for name in ("send", "_send_sasl_token"):
        send = getattr(AIOKafkaConnection, name)
        if not hasattr(send, "__wrapped__"):
            setattr(AIOKafkaConnection, name, _mended(send))


def _mended(send: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(send)
    def mended(connection: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return send(connection, *args, **kwargs)
        except RuntimeError as error:
            connection.close(reason=CloseReason.CONNECTION_BROKEN, exc=error)
            raise KafkaConnectionError(f"Connection at {connection.host}:{connection.port} broken: {error}") from error

    return mended
