"""Schedules on a real broker while workers are killed: which ticks were due, and which made a call."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from streams.event import Event
from streams.kafka import read_topic
from tests.harness import HeadraceProcess, KafkaForTests, Receiver, eventually
from tests.integration.scenario import Scenario


@dataclass
class Fired:
    """What came of it: ``due`` are the ticks that had to be, ``events`` all in the log, ``keys`` those of its calls."""

    due: set[str]
    events: list[Event]
    keys: dict[str, set[str]]

    def assert_each_is_one_event(self) -> None:
        """Assert that none is missing, and that all calls of a tick are of one delivery."""
        missing = self.due - set(self.keys)
        assert not missing, (len(missing), sorted(missing)[:5])
        assert set(self.keys) <= {event.id for event in self.events}
        assert {len(keys) for keys in self.keys.values()} == {1}

    @property
    def late_s(self) -> list[float]:
        """How late each event was made, its first copy counting, ascending."""
        first: dict[str, int] = {}
        for event in self.events:
            first[event.id] = min(first.get(event.id, event.time_ms), event.time_ms)
        return sorted(made / 1000 - _due_s(id_) for id_, made in first.items())


def scheduled_table(receiver: Receiver, schedules: int, **settings: Any) -> dict[str, Any]:
    """Return a table with so many schedules that are due each second, and one route to the receiver."""
    entries = [{"name": f"s{n}", "cron": "* * * * * *", "body": {"n": n}, **settings} for n in range(schedules)]
    return {
        "version": 1,
        "destinations": {
            "crm": {"connector": "http", "base_url": receiver.url, "retry": {"attempts": 5, "backoff_s": [0.05, 0.2]}}
        },
        "routes": [
            {
                "name": "ticks",
                "source": "schedules",
                "to": "crm",
                "action": "request",
                "with": {"path": "/ticks", "json": {"tick": "{{ event.id }}", "n": "{{ body.n }}"}},
            }
        ],
        "schedules": entries,
    }


async def fire_through_kills(
    kafka: KafkaForTests,
    directory: Path,
    start: Callable[..., HeadraceProcess],
    receiver: Receiver,
    *,
    schedules: int,
    workers: int,
    seconds: int,
    kills: int,
    seed: int = 1,
) -> Fired:
    """Fire ``schedules`` each second for so long, while workers are killed at random and started again."""
    table = {**scheduled_table(receiver, schedules, catch_up="all"), "sources": {}}
    scenario = Scenario(kafka, directory, table, start)
    chance = random.Random(seed)
    running = [await scenario.worker(f"w{n}").ready() for n in range(workers)]
    first_s = int(time.time()) + 3  # by then every schedule has begun
    end_s = first_s + seconds
    moments = sorted(first_s + chance.uniform(0.1, 0.9) * seconds for _ in range(kills))
    for number, moment_s in enumerate(moments):
        await asyncio.sleep(max(0.0, moment_s - time.time()))
        place = chance.randrange(workers)
        running[place].process.process.send_signal(signal.SIGKILL)
        running[place] = scenario.worker(f"k{number}")
    await asyncio.sleep(max(0.0, end_s + 1 - time.time()))
    await asyncio.gather(*(worker.ready() for worker in running))
    times = (datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z") for moment in range(first_s, end_s))
    due = {f"s{n}@{moment}" for moment in times for n in range(schedules)}
    keys: dict[str, set[str]] = {}
    looked_at = 0

    def all_called() -> bool:
        nonlocal looked_at
        calls = receiver.calls("/ticks")[looked_at:]
        looked_at += len(calls)
        for call in calls:
            keys.setdefault(call.json["tick"], set()).add(call.key)
        return due <= set(keys)

    # The schedules go on, so that the queues need never be empty. Which ticks are missing the caller says.
    with contextlib.suppress(AssertionError):
        await eventually(all_called, 120, pause_s=0.3)
    return Fired(due, await _events(scenario), keys)


async def _events(scenario: Scenario) -> list[Event]:
    topic = scenario.names.events("schedules")
    return [Event.from_record(r.key, r.value, r.headers) async for r in read_topic(scenario.settings, topic)]


def _due_s(id_: str) -> float:
    return datetime.fromisoformat(id_.partition("@")[2]).timestamp()
