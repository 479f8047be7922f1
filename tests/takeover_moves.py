"""Taking over by steps, under load, with a receiver on both sides: each event exactly on one."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.harness import HeadraceProcess, KafkaForTests, Receiver, eventually
from tests.integration.scenario import Scenario


@dataclass(frozen=True)
class Sides:
    """Which events came where: the numbers in the bodies."""

    sent: set[int]
    live: set[int]
    mirrored: set[int]

    def assert_each_on_one_side(self) -> None:
        both, neither = self.live & self.mirrored, self.sent - self.live - self.mirrored
        assert not both, f"{len(both)} on both sides, such as {sorted(both)[:5]}"
        assert not neither, f"{len(neither)} on neither side, such as {sorted(neither)[:5]}"


def table(receiver: Receiver, **route: Any) -> dict[str, Any]:
    """Return a table with one route to ``/live`` of the receiver."""
    return {
        "version": 1,
        "sources": {"orders": {"scheme": "hmac", "secret_env": "ORDERS_SECRET"}},
        "destinations": {"crm": {"connector": "http", "base_url": receiver.url}},
        "routes": [
            {
                "name": "r",
                "source": "orders",
                "to": "crm",
                "action": "request",
                "with": {"path": "/live", "json": {"n": "{{ body.n }}"}},
                **route,
            }
        ],
    }


async def take_over(
    kafka: KafkaForTests,
    directory: Path,
    start: Callable[..., HeadraceProcess],
    receiver: Receiver,
    *,
    percents: Sequence[float],
    step_s: float,
    per_s: int,
    kills: int = 0,
) -> Sides:
    """Send events all the while, as steps of so many percent begin one after another; kill workers on the way."""
    begin_s = time.time() + 8 + step_s
    steps = [
        {"from": datetime.fromtimestamp(begin_s + number * step_s, UTC).isoformat(), "percent": percent}
        for number, percent in enumerate(percents)
    ]
    mirror = {"url_env": "HOOK_URL", "rate": "100000/s"}
    scenario = Scenario(kafka, directory, table(receiver, mode=steps, mirror=mirror), start)
    scenario.secrets["HOOK_URL"] = f"{receiver.url}/hook/abcdef123456/"
    await scenario.topics()
    workers = [await scenario.worker(f"w{number}").ready() for number in range(2)]
    end_s, sent = begin_s + len(percents) * step_s, 0
    kill_at_s = [begin_s + (number + 0.5) * (end_s - begin_s) / kills for number in range(kills)]
    while time.time() < end_s:
        await scenario.publish("orders", [json.dumps({"n": sent + n}).encode() for n in range(per_s // 5)], first=sent)
        sent += per_s // 5
        if kill_at_s and time.time() > kill_at_s[0]:
            kill_at_s.pop(0)
            workers[0].process.process.send_signal(signal.SIGKILL)
            workers = [workers[1], scenario.worker(f"k{len(kill_at_s)}")]
        await asyncio.sleep(0.2)
    await asyncio.gather(*(worker.ready() for worker in workers))

    def all_arrived() -> bool:
        return len(_numbers(receiver, "/live") | _numbers(receiver, "/hook")) >= sent

    await eventually(all_arrived, timeout_s=120)
    await scenario.drained(timeout_s=120)
    return Sides(set(range(sent)), _numbers(receiver, "/live"), _numbers(receiver, "/hook"))


def _numbers(receiver: Receiver, path: str) -> set[int]:
    return {int(call.json["n"]) for call in receiver.calls(path)}
