"""A Headrace under a small mixed load: everything that can happen to events and deliveries happens to some."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import aiohttp

from streams.kafka import producing
from tests.harness import Answer, HeadraceProcess, eventually, github_headers
from tests.ledger import SECRET, MakeSystem, System

DESTINATIONS: dict[str, dict[str, Any]] = {
    "well": {},
    "slow": {"concurrency": 4},
    "failing": {"circuit": {"failures": 3, "open_s": 2}, "delays_s": [1, 2]},
    "refusing": {"delays_s": []},
    "limited": {"rate": "20/s"},
    "denying": {},
    "held": {},
    "sparing": {},
}
PATHS = {
    "failing": Answer(500),
    "refusing": Answer(422),
    "denying": Answer(401),
    "slow": Answer(delay_s=0.3),
    "sparing": Answer(headers={"RateLimit": '"calls";r=100;t=2', "RateLimit-Policy": '"calls";q=1000;w=20'}),
}
BODY_BYTES_MAX = 4096
# At the pace of this load, a month has more tasks than Zapier sells.
PRICES = """\
{service: Zapier, date: "2026-12-01", source: made up for this, overage_factor: 1.25, tasks_factor_max: 3, plans:
  {Large: [{tasks: 1000, usd: 10}, {tasks: 1000000000, usd: 100000}]}}
"""


class Plant:
    """Ingest in two processes, two workers, and who posts to them."""

    def __init__(self, make_system: MakeSystem) -> None:
        self.system: System = make_system(destinations=DESTINATIONS)
        table = self.system.table
        table["sources"]["github"] |= {"body_bytes_max": BODY_BYTES_MAX, "rate": "500/s"}
        table["ingest"] = {"spool": True}
        table["schedules"] = [{"name": "each-second", "cron": "* * * * * *"}]
        plan = self.system.directory / "plan.yaml"
        plan.write_text(PRICES)
        self.system.env |= {"HEADRACE_SERVER_USD": "24.50", "HEADRACE_PLAN": str(plan)}
        table["sources"]["quiet"] = {"scheme": "none", "allow_unsigned": True}
        table["routes"][0]["when"] = "body.n >= 0"  # a body that has no n matches nothing: a dead letter of "match"
        (failing,) = [route for route in table["routes"] if route["to"] == "failing"]
        failing["when"] = "body.breaks is defined"  # few: its circuit lets one call through in 2 seconds
        (slow,) = [route for route in table["routes"] if route["to"] == "slow"]
        table["routes"].append({**slow, "name": "to-slow-at-once", "priority": "high"})
        self.system.write_table()
        for name, answer in PATHS.items():
            self.system.receiver.answers[f"/{name}/"] = answer
        self.ingest: HeadraceProcess
        self.workers: list[HeadraceProcess] = []

    async def start(self) -> None:
        self.ingest = await self.system.start_ingest(processes=2)
        self.workers = [self.system.start_worker(name) for name in ("w1", "w2")]
        for worker in self.workers:
            await self.system.ready(worker)
        await self.system.command("pause", "held")

    def ports(self) -> dict[str, list[int]]:
        """Return the admin ports of each job."""
        ports = self.system.admin_ports
        return {
            "headrace-ingest": [ports[self.ingest.pid]],
            "headrace-worker": [ports[worker.pid] for worker in self.workers],
        }

    async def post(self, count: int, *, body: dict[str, Any] | None = None, **changes: Any) -> list[int]:
        """Post signed events, all different, and return the statuses."""
        async with aiohttp.ClientSession() as session:
            return list(await asyncio.gather(*(self._post(session, body or {"n": n}, **changes) for n in range(count))))

    async def _post(
        self,
        session: aiohttp.ClientSession,
        body: dict[str, Any] | bytes,
        *,
        event_id: str = "",
        secret: str = SECRET,
        source: str = "github",
    ) -> int:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = github_headers(raw, secret, event_id or uuid.uuid4().hex)
        url = f"http://127.0.0.1:{self.system.port}/webhook/{source}"
        async with session.post(url, data=raw, headers=headers) as answer:
            await answer.read()
            return answer.status

    async def mixed(self) -> None:
        """Post some of everything, once: good, twice, bad in each way, unreadable."""
        assert set(await self.post(20)) == {200}
        assert set(await self.post(3, event_id="the-same")) == {200}
        assert await self.post(3, secret="wrong") == [401] * 3
        assert await self.post(1, source="nobody") == [404]
        assert await self.post(1, body={"no": "n"}) == [200]
        assert await self.post(1, body={"n": 1, "filler": "x" * BODY_BYTES_MAX}) == [413]
        async with aiohttp.ClientSession() as session:
            assert await self._post(session, b"{no json") == 400
        async with producing(self.system.settings) as producer:
            await producer.send_and_wait(self.system.names.events("github"), b"{}", b"key")  # no headers: no event

    async def load(self, seconds: float) -> None:
        """Go on with everything for ``seconds``: rates need counters that move, and graphs need time."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + seconds
        assert await self.post(2, body={"n": 0, "breaks": True}) == [200] * 2
        while loop.time() < end_s:
            await self.mixed()
            await asyncio.sleep(0.5)

    async def metrics(self, process: HeadraceProcess) -> dict[str, float]:
        """Return every sample of a process' ``/metrics``, by its name with labels."""
        _, text = await self.system.admin(process, "/metrics")
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        return {head: float(value) for head, _, value in (line.rpartition(" ") for line in lines)}

    async def settled(self) -> None:
        """Return when everything has happened: dead letters written, circuit opened, destinations paused."""

        async def happened() -> bool:
            letters = {one.failure.stage for one in await self.system.letters()}
            assert {"decode", "match", "call", "retry"} <= letters, letters
            return True

        await eventually(happened, 60)
