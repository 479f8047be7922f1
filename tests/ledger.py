"""A whole Headrace for tests, and the ledger of what it accepted: posted over HTTP, accounted for at the receiver."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from streams.depths import queue_groups
from streams.kafka import KafkaUnavailable, read_topic
from streams.letters import Letters
from streams.topics import TopicNames
from tests.harness import HeadraceProcess, KafkaForTests, Receiver, eventually, free_port, free_ports, github_headers

SECRET = "s3cret"
ANSWER_S_MAX = 30.0
RETRY_S = 0.1
SINCE_COMMIT_S = 0.05


class System:
    """Ingest and workers in processes of their own, on topics of their own; ``a`` and ``b`` lead to the receiver.

    Route ``to-a`` calls ``/a/<event id>`` at destination ``a``, and so on for each of ``destinations``, which maps a
    name to settings that differ from the usual.
    """

    def __init__(
        self,
        kafka: KafkaForTests,
        directory: Path,
        receiver: Receiver,
        start: Callable[..., HeadraceProcess],
        *,
        destinations: dict[str, dict[str, Any]] | None = None,
        partitions: int = 4,
        json_body: object = None,
        copies: int = 1,
    ) -> None:
        self.kafka, self.directory, self.receiver, self._start = kafka, directory, receiver, start
        self.settings = kafka.settings()
        self.names = TopicNames(self.settings.topic_prefix)
        self.destinations = destinations or {"a": {}, "b": {}}
        self.env = {
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "HEADRACE_TOPIC_PREFIX": self.settings.topic_prefix,
            "HEADRACE_PARTITIONS": str(partitions),
            "GITHUB_WEBHOOK_SECRET": SECRET,
        }
        self.port = free_port()
        self.admin_ports: dict[int, int] = {}
        self.table = routing_table(receiver.url, self.destinations, json_body, copies)
        self.write_table()

    def write_table(self) -> None:
        """Write ``table`` to ``headrace.yaml``."""
        (self.directory / "headrace.yaml").write_text(yaml.safe_dump(self.table))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/webhook/github"

    async def start_ingest(self, processes: int = 1) -> HeadraceProcess:
        """Start ingest, on the same port each time, and return when it is ready."""
        options = ["--host", "127.0.0.1", "--port", self.port, "--ingest-processes", processes]
        process = self._launch("ingest", *options)
        await self.ready(process)
        return process

    def start_worker(self, name: str = "w1", *options: str, admin_port: int = 0) -> HeadraceProcess:
        """Start a worker with the data directory ``name``; ``admin_port`` 0 takes a free one."""
        return self._launch("worker", "--data-dir", self.directory / name, *options, name=name, admin_port=admin_port)

    async def worker(self, name: str = "w1", *options: str) -> HeadraceProcess:
        """Start a worker and return when it is ready."""
        process = self.start_worker(name, *options)
        await self.ready(process)
        return process

    async def run(self, kafka_port: int) -> HeadraceProcess:
        """Start ``headrace run`` with a Kafka of its own, and return when it says that it is ready."""
        env = {name: value for name, value in self.env.items() if name != "KAFKA_BOOTSTRAP_SERVERS"}
        ports = ["--port", self.port, "--admin-port", free_ports(2), "--kafka-port", kafka_port]
        options = ["--ingest-processes", 2, "--data-dir", self.directory / "run"]
        process = self._start("run", *map(str, [*ports, *options]), env=env, cwd=self.directory)
        await process.wait_for("headrace ready: ")
        return process

    async def command(self, *args: str) -> str:
        """Run a command of ``headrace`` to its end and return what it printed on stdout."""
        process = self._start(*args, env=self.env, cwd=self.directory)
        assert await process.wait(60) == 0, process.tail()
        return process.stdout

    async def ready(self, process: HeadraceProcess, timeout_s: float = 60) -> None:
        """Return when ``/readyz`` of a process says so."""

        async def answers() -> bool:
            if not process.running:
                raise RuntimeError(f"headrace {' '.join(process.args)} has ended: {process.tail()}")
            return (await self.admin(process, "/readyz"))[0] == 200

        await eventually(answers, timeout_s)

    async def admin(self, process: HeadraceProcess, path: str) -> tuple[int, str]:
        """Return status and text of an admin page; status 0 if nobody listens."""
        url = f"http://127.0.0.1:{self.admin_ports[process.pid]}{path}"
        try:
            async with aiohttp.ClientSession() as session, session.get(url) as answer:
                return answer.status, await answer.text()
        except aiohttp.ClientError:
            return 0, ""

    def _launch(self, command: str, *options: object, name: str = "", admin_port: int = 0) -> HeadraceProcess:
        port = admin_port or free_port()
        process = self._start(
            command, "--admin-port", str(port), *map(str, options), env=self.env, cwd=self.directory, name=name
        )
        self.admin_ports[process.pid] = port
        return process

    async def queues(self) -> dict[TopicPartition, tuple[int, int]]:
        """Return the committed offset and the end of every partition that a consumer group works on."""
        delays_s = {delay_s for one in self.table["destinations"].values() for delay_s in one["delays_s"]}
        groups = queue_groups(
            self.names, sources=self.table["sources"], destinations=self.destinations, delays_s=delays_s
        )
        partitions = range(int(self.env["HEADRACE_PARTITIONS"]))
        committed: dict[TopicPartition, int] = {}
        async with self.settings.admin() as admin:
            for group in set(groups.values()):
                offsets = await admin.list_consumer_group_offsets(group)
                committed.update({part: found.offset for part, found in offsets.items()})
        consumer = self.settings.consumer()
        await consumer.start()
        try:
            there = groups.keys() & await consumer.topics()
            ends = await consumer.end_offsets([TopicPartition(t, n) for t in there for n in partitions])
        finally:
            await consumer.stop()
        return {part: (committed.get(part, 0), end) for part, end in ends.items()}

    async def idle(self, timeout_s: float = 60) -> None:
        """Return when every queue is committed to its end, and stays so."""
        ends_before: dict[TopicPartition, int] = {}

        async def all_committed() -> bool:
            nonlocal ends_before
            try:
                queues = await self.queues()
            except (KafkaError, KafkaUnavailable):  # a broker that has just started
                return False
            behind = {part: (offset, end) for part, (offset, end) in queues.items() if offset != end}
            assert not behind, behind
            ends = {part: end for part, (_, end) in queues.items()}
            same, ends_before = ends == ends_before, ends
            return same

        await eventually(all_committed, timeout_s, pause_s=0.3)

    async def letters(self) -> list[Any]:
        """Return the outstanding dead letters."""
        async with Letters(self.settings, self.names) as letters:
            await letters.catch_up()
            return [stored.letter for stored in letters.outstanding()]


MakeSystem = Callable[..., System]


def routing_table(url: str, destinations: dict[str, dict[str, Any]], json_body: object, copies: int) -> dict[str, Any]:
    """Return a table with a route to each destination, or with ``copies`` of each."""
    usual = {
        "connector": "http",
        "base_url": url,
        "timeout_s": 20,
        "concurrency": 50,
        "retry": {"attempts": 3, "backoff_s": [0.2, 1]},
        "delays_s": [1, 2],
        "circuit": {"failures": 20, "open_s": 1},
    }
    return {
        "version": 1,
        "sources": {"github": {"scheme": "github", "secret_env": "GITHUB_WEBHOOK_SECRET"}},
        "destinations": {name: {**usual, **own} for name, own in destinations.items()},
        "routes": [
            {
                "name": f"to-{name}" + copy,
                "source": "github",
                "to": name,
                "action": "request",
                "with": {
                    "method": "POST",
                    "path": f"/{name}{copy}/{{{{ event.id }}}}",
                    "json": json_body or {"n": "{{ body.n }}"},
                },
            }
            for name in destinations
            for copy in ["", *(f"-{n}" for n in range(2, copies + 1))]
        ],
    }


@dataclass(frozen=True)
class Kill:
    """When a worker was killed or frozen, and how many keys may be repeated for it, by the receiver's clock."""

    at_s: float
    in_flight: int
    settled_before: int  # a moment ago, so perhaps not committed


class Ledger:
    """What the producer was promised: every event id that was answered with 200."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.accepted: dict[str, str] = {}
        self.posted_at_s: dict[str, float] = {}
        self.answers: Counter[int] = Counter()
        self.unanswered = 0
        self.refusals: Counter[str] = Counter()  # what each 503 said
        self.retry_after_s: set[int] = set()
        self.kills: list[Kill] = []

    # -- posting ---------------------------------------------------------------------------------------------------

    async def post_all(self, count: int, *, connections: int = 16, size: int = 0) -> None:
        """Post ``count`` new events and return when all are accepted."""
        left = iter(range(count))
        await self._post_each(left, connections, size)

    async def load(self, ended: asyncio.Event, *, connections: int = 16, rate: float = 400) -> None:
        """Post new events until told to stop, about ``rate`` a second."""

        def numbers() -> Iterable[int]:
            n = 0
            while not ended.is_set():
                yield n
                n += 1

        await self._post_each(iter(numbers()), connections, 0, pause_s=connections / rate)

    async def steady_load(self, ended: asyncio.Event, *, connections: int, rate: float) -> None:
        """Post exactly ``rate`` new events a second, each at its time, until told to stop.

        A connection that is late posts at once; so the rate holds as long as one answer takes less than
        ``connections / rate`` seconds on average.
        """
        started_s = time.monotonic()

        async def posting(first: int) -> None:
            n = first
            while not ended.is_set():
                await asyncio.sleep(max(0.0, started_s + n / rate - time.monotonic()))
                await self.post(session, uuid.uuid4().hex)
                n += connections

        async with self.session() as session:
            await asyncio.gather(*(posting(number) for number in range(connections)))

    async def _post_each(self, left: Any, connections: int, size: int, pause_s: float = 0.0) -> None:
        async def posting() -> None:
            for _ in left:
                await self.post(session, uuid.uuid4().hex, size=size)
                if pause_s:
                    await asyncio.sleep(pause_s)

        async with self.session() as session:
            await asyncio.gather(*(posting() for _ in range(connections)))

    def session(self) -> aiohttp.ClientSession:
        """Return a client for many connections."""
        return aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=ANSWER_S_MAX), connector=aiohttp.TCPConnector(limit=0)
        )

    async def post(
        self, session: aiohttp.ClientSession, event_id: str, *, size: int = 0, body: bytes | None = None
    ) -> str:
        """Post one event until it is accepted, as a producer does; return its receipt."""
        if body is None:
            body = json.dumps({"n": len(self.accepted), "filler": "x" * size}).encode()
        headers = github_headers(body, SECRET, event_id)
        while True:
            try:
                async with session.post(self.system.url, data=body, headers=headers) as response:
                    status, answer = response.status, await response.json()
            except (aiohttp.ClientError, TimeoutError):
                self.unanswered += 1
                await asyncio.sleep(RETRY_S)
                continue
            self.answers[status] += 1
            if status == 200:
                self.posted_at_s.setdefault(event_id, time.time())
                self.accepted[event_id] = answer["receipt"]
                return str(answer["receipt"])
            assert status == 503, answer
            self.refusals[answer["detail"]] += 1
            self.retry_after_s.add(int(response.headers["Retry-After"]))
            await asyncio.sleep(RETRY_S)

    # -- killing ---------------------------------------------------------------------------------------------------

    def kill(self, worker: HeadraceProcess, since_commit_s: float = SINCE_COMMIT_S) -> None:
        """Kill -9 a worker, noting what it may repeat."""
        worker.kill()
        self.note_in_flight(since_commit_s)

    def note_in_flight(self, since_commit_s: float = SINCE_COMMIT_S) -> None:
        """Note what a worker that is stopped now leaves to be repeated: calls in flight, and what was not committed."""
        now_s = time.time()
        received, answered = list(self.system.receiver.received), list(self.system.receiver.answered)
        done = {key for key, at_s in answered}
        recent = sum(at_s > now_s - since_commit_s for _, at_s in answered)
        in_flight = sum(one.key not in done for one in received)
        self.kills.append(Kill(now_s, in_flight, recent))

    @property
    def repeats_max(self) -> int:
        """How many repeats the kills so far allow."""
        return sum(kill.in_flight + kill.settled_before for kill in self.kills)

    # -- accounting ------------------------------------------------------------------------------------------------

    def calls(self) -> Counter[str]:
        """Return how often each path was called."""
        return Counter(call.path for call in list(self.system.receiver.received))

    def repeats(self, since_s: float = 0.0) -> dict[str, list[float]]:
        """Return when each repeated delivery was called, of those that were first called at ``since_s`` or later."""
        called_s: dict[str, list[float]] = {}
        for call in list(self.system.receiver.received):
            called_s.setdefault(call.path, []).append(call.at_s)
        return {path: at for path, at in called_s.items() if len(at) > 1 and at[0] >= since_s}

    def repeated(self, since_s: float = 0.0) -> int:
        """Return how many calls were repeats, of those deliveries that were first called at ``since_s`` or later."""
        return sum(len(at) - 1 for at in self.repeats(since_s).values())

    def missing(self, routes: Sequence[str] | None = None) -> set[str]:
        """Return the paths that were never called although their event was accepted."""
        wanted = {f"/{route}/{one}" for route in routes or self.system.destinations for one in self.accepted}
        return wanted - set(self.calls())

    async def assert_all_settled(self, timeout_s: float = 60) -> None:
        """Return when the queues are empty: every accepted event came on every route or is a dead letter of it."""
        await self.system.idle(timeout_s)
        dead = {f"/{one.header('headrace-destination')}/{one.header('ce_id')}" for one in await self.system.letters()}
        assert self.accepted
        lost = self.missing() - dead
        assert not lost, await self.explain(lost)
        self.assert_one_key_each()

    async def explain(self, lost: set[str]) -> str:
        """Return where in the log each of some deliveries stands: event, copies in the queue, outcomes."""
        found: dict[str, list[str]] = {path: [self.accepted[path.rpartition("/")[2]]] for path in lost}
        topics = [self.system.names.deliveries(name) for name in self.system.destinations]
        for topic in (*topics, self.system.names.outcomes):
            async for record in read_topic(self.system.settings, topic):
                headers = {name: value.decode(errors="replace") for name, value in record.headers}
                for path in lost:
                    event_id = path.rpartition("/")[2]
                    if event_id in (headers.get("ce_id"), json.loads(record.value).get("event_id")):
                        what = headers.get("headrace-route") or str(record.value)
                        found[path].append(f"{topic}/{record.partition}/{record.offset} at {record.timestamp} {what}")
        queues = "\n".join(f"{part}: {at}" for part, at in sorted((await self.system.queues()).items()))
        lines = "\n".join(f"{path}: {places}" for path, places in sorted(found.items()))
        return f"{len(lost)} deliveries:\n{lines}\n{queues}"

    def assert_one_key_each(self) -> None:
        """Check that repeats carry the same Idempotency-Key, and nothing else does."""
        keys: dict[str, set[str]] = {}
        paths: dict[str, set[str]] = {}
        for call in list(self.system.receiver.received):
            keys.setdefault(call.path, set()).add(call.key)
            paths.setdefault(call.key, set()).add(call.path)
        assert [path for path, found in keys.items() if len(found) != 1] == []
        assert [key for key, found in paths.items() if len(found) != 1 or not key] == []

    async def assert_a_restart_repeats_nothing(self, workers: Sequence[HeadraceProcess]) -> None:
        """Stop the workers, start one, and check that only a new event is called."""
        assert [await worker.terminate(60) for worker in workers] == [0] * len(workers)
        before = self.calls()
        last = await self.system.worker("w1")
        await self.post_all(1, connections=1)
        await self.assert_all_settled()
        assert sum(self.calls().values()) == sum(before.values()) + len(self.system.destinations)
        assert await last.terminate(60) == 0

    async def advanced(self, by: int = 100, timeout_s: float = 60) -> None:
        """Return when the receiver has got so many more calls: the workers are at work."""
        before = len(self.system.receiver.received)
        await eventually(lambda: len(self.system.receiver.received) >= before + by, timeout_s)

    def report(self, name: str) -> None:
        """Print the figures; pytest shows them with ``-s`` or after a failure."""
        print(
            f"{name}: accepted {len(self.accepted)}, answers {dict(self.answers)} {dict(self.refusals) or ''}, "
            f"unanswered {self.unanswered}, "
            f"calls {len(self.system.receiver.received)}, keys {len(self.calls())}, missing {len(self.missing())}, "
            f"repeated {self.repeated()} (allowed {self.repeats_max}: "
            f"{[(kill.in_flight, kill.settled_before) for kill in self.kills]})"
        )
        for kill in self.kills:
            print(f"  over the kill at {kill.at_s:.3f}: {self.repeats_over(kill)}")

    def repeats_over(self, kill: Kill) -> dict[str, int]:
        """Return how many repeats were in flight at a kill, and how many settled how long before it."""
        answered_s: dict[str, float] = {}
        for key, at_s in list(self.system.receiver.answered):
            answered_s.setdefault(key, at_s)
        called_s: dict[str, list[float]] = {}
        for call in list(self.system.receiver.received):
            called_s.setdefault(call.key, []).append(call.at_s)
        over = [answered_s.get(key, kill.at_s + 1) for key, at in called_s.items() if at[0] <= kill.at_s < at[-1]]
        ages_ms = [1000 * (kill.at_s - at_s) for at_s in over if at_s <= kill.at_s]
        counts = {"in flight": len(over) - len(ages_ms)}
        for low, high in ((0, 25), (25, 50), (50, 100), (100, 200), (200, 1_000_000)):
            counts[f"{low} to {high} ms"] = sum(low <= age < high for age in ages_ms)
        return counts


async def while_loading(
    ledger: Ledger,
    moves: Callable[[], Awaitable[None]],
    *,
    connections: int = 16,
    rate: float = 400,
    steady: bool = False,
) -> None:
    """Carry out ``moves`` under load; the load ends with them, or with their failure."""
    ended = asyncio.Event()
    posting = ledger.steady_load if steady else ledger.load
    load = asyncio.create_task(posting(ended, connections=connections, rate=rate))
    try:
        await moves()
        ended.set()
        await load
    finally:
        load.cancel()
        with suppress(asyncio.CancelledError):
            await load
