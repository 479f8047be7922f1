"""Fan-out on Faust as it comes, one record at a time: for the test that shows what our fixes are for.

Taken out are the fix of the table recovery (`streams.recovery_fix`) and what stands behind it: taking and committing
in order (`streams.intake`). Faust acknowledges and commits, as its documentation shows it.
"""

from __future__ import annotations

import asyncio
from typing import Any

import faust

from streams import fan_out_member as product
from streams.fan_out import FanOut
from streams.taken import Taken


def take_out_the_recovery_fix() -> None:
    product.recovery_fix.apply = lambda: None


def take_out_all(*, pause_s: float) -> None:
    take_out_the_recovery_fix()
    fan_outs: list[FanOut] = []
    new_topic, new_fan_out = faust.App.topic, FanOut.__init__

    def acking_topic(self: Any, *topics: str, acks: bool = True, internal: bool = False, **options: Any) -> Any:
        return new_topic(self, *topics, acks=not internal, internal=internal, **options)

    def remembered(self: FanOut, **options: Any) -> None:
        async def owned(_: Taken) -> None:
            return

        new_fan_out(self, **{**options, "ensure_owned": owned})
        fan_outs[:] = [self]

    async def take_all(self: Any, stream: Any) -> None:
        async for event in stream.events():
            message = event.message
            source = self._source_of[message.topic]
            await asyncio.sleep(pause_s)
            await fan_outs[0].fan_out(
                Taken(
                    message.topic,
                    source,
                    message.partition,
                    message.offset,
                    message.key,
                    message.value,
                    message.headers,
                )
            )

    faust.App.topic = acking_topic  # type: ignore[method-assign]
    FanOut.__init__ = remembered  # type: ignore[method-assign]
    product.FanOutMember._take_all = take_all  # type: ignore[method-assign]
