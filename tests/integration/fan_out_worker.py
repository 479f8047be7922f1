"""Fan-out as a process of its own, to hurt: ``python -m tests.integration.fan_out_worker '{"bootstrap": …}'``.

``kill_at`` ends it with kill -9 at a named point, as often as the point was passed: the points are wrapped around the
product's own methods here, so that the product needs no switch for it. ``without`` takes fixes out (`stock_faust`),
and ``pause_s`` makes each event take that long, so that there is work while partitions move.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop
from prometheus_client import CollectorRegistry

from streams.fan_out import FanOut
from streams.fan_out_member import FanOutMember
from streams.group_offsets import GroupOffsets
from streams.kafka import KafkaSettings
from streams.metrics import StreamsMetrics
from streams.routing import RouteSettings, compile_routes
from streams.seen import SeenTable
from streams.sending import Sender
from streams.taken import Taken
from streams.topics import TopicNames
from tests.integration import stock_faust

POINTS: dict[str, tuple[type, str]] = {
    "published": (Sender, "send"),
    "marked": (SeenTable, "put"),
    "committed": (GroupOffsets, "commit"),
}


def kill_after(owner: type, name: str, times: int) -> None:
    original: Callable[..., Awaitable[Any]] = getattr(owner, name)
    left = times

    async def killing(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal left
        result = await original(self, *args, **kwargs)
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, killing)


def slow_down(pause_s: float) -> None:
    original = FanOut.fan_out

    async def slowly(self: FanOut, record: Taken) -> str:
        await asyncio.sleep(pause_s)
        return await original(self, record)

    FanOut.fan_out = slowly  # type: ignore[method-assign]


async def run(options: dict[str, Any]) -> int:
    if options.get("kill_at"):
        kill_after(*POINTS[options["kill_at"]], options["kill_times"])
    routes = compile_routes([RouteSettings.model_validate(route) for route in options["routes"]])
    app = FanOutMember(
        KafkaSettings(options["bootstrap"], topic_prefix=options["prefix"]),
        TopicNames(options["prefix"]),
        dict.fromkeys(options["sources"], 7 * 86400),
        lambda: routes,
        Path(options["data_dir"]),
        StreamsMetrics(CollectorRegistry()),
        partitions=options["partitions"],
    )
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await app.start()
    print("started", flush=True)
    waits = [asyncio.create_task(app.wait_failed()), asyncio.create_task(ended.wait())]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    if waits[0].done():
        print(f"failed: {waits[0].result()!r}", flush=True)
        os._exit(1)
    await app.stop()
    return 0


if __name__ == "__main__":
    chosen = json.loads(sys.argv[1])
    if chosen.get("without") == "recovery fix":
        stock_faust.take_out_the_recovery_fix()
    elif chosen.get("without") == "all":
        stock_faust.take_out_all(pause_s=chosen["pause_s"])
    if chosen.get("pause_s") and chosen.get("without") != "all":
        slow_down(chosen["pause_s"])
    sys.exit(uvloop.run(run(chosen)))
