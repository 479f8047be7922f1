"""What is done to a system under load, in the size that the test chooses; each ends with the ledger balanced."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from streams.event import Event
from streams.intake import IN_FLIGHT_MAX
from streams.kafka import producing, read_topic
from streams.room import IN_WORK_PER_SLOT
from tests.harness import Answer, HeadraceProcess, eventually, processes_with
from tests.kafka_cluster import KafkaCluster
from tests.ledger import SINCE_COMMIT_S, Ledger, System, while_loading

CALL_S = 0.02
LOADED_COMMIT_S = 0.25  # how long a commit may take where several workers share two cores
CALLED_MAX = 50 * IN_WORK_PER_SLOT  # deliveries of one destination that one worker has in work
FROZEN_S = 14.0  # beyond the session timeout of 10 s


async def kill_the_worker(
    system: System,
    *,
    events: int,
    connections: int,
    kills: int,
    since_commit_s: float = SINCE_COMMIT_S,
    fanned_out_twice_max: int = 0,
) -> Ledger:
    """Post events as quickly as ingest takes them, and kill -9 the worker at even distances.

    A kill may repeat the calls in flight, what was settled within ``since_commit_s`` before it, and
    ``fanned_out_twice_max`` deliveries of events that were published and not yet marked as seen.
    """
    system.receiver.answers["/"] = Answer(delay_s=CALL_S)
    ledger = Ledger(system)
    await system.start_ingest()
    worker = await system.worker()
    posting = asyncio.create_task(ledger.post_all(events, connections=connections))
    calls = events * len(system.destinations)
    for n in range(kills):
        due = calls * (n + 1) // (kills + 1)
        await eventually(lambda due=due: len(system.receiver.received) >= due, 120, 0.005)  # type: ignore[misc]
        ledger.kill(worker, since_commit_s)
        worker = await system.worker()
    await posting
    await ledger.assert_all_settled(120)
    ledger.report("worker killed")
    assert len(ledger.accepted) == events
    assert len({call.key for call in system.receiver.received}) == calls
    assert ledger.repeated() <= ledger.repeats_max + kills * fanned_out_twice_max
    await ledger.assert_a_restart_repeats_nothing([worker])
    return ledger


async def kill_ingest(system: System, *, kills: int, per_kill: int) -> Ledger:
    """Kill -9 one process of two, and then both with their parent, which is started again."""
    ledger = Ledger(system)
    ingest = await system.start_ingest(processes=2)
    worker = await system.worker()

    async def moves() -> None:
        nonlocal ingest
        for n in range(kills):
            await ledger.advanced(per_kill)
            if n % 2:
                ingest.kill()
                ingest = await system.start_ingest(processes=2)
            else:
                os.kill(children(ingest.pid)[0], signal.SIGKILL)
                await eventually(partial(not_ready, system, ingest), pause_s=0.01)
                await system.ready(ingest)
        await ledger.advanced(per_kill)

    await while_loading(ledger, moves)
    await ledger.assert_all_settled()
    ledger.report("ingest killed")
    assert ledger.unanswered > 0
    assert ledger.repeated() == 0  # an event posted again under its id is a duplicate
    await ledger.assert_a_restart_repeats_nothing([worker])
    return ledger


async def kill_the_run(system: System, *, kafka_port: int, kills: int, per_kill: int) -> Ledger:
    """Kill -9 ``headrace run``, with Kafka and all its parts, and start it again."""
    ledger = Ledger(system)
    run = await system.run(kafka_port)

    async def moves() -> None:
        nonlocal run
        for _ in range(kills):
            await ledger.advanced(per_kill)
            run.kill()
            await eventually(lambda: not processes_with(str(system.directory / "run")), 10)
            run = await system.run(kafka_port)
        await ledger.advanced(per_kill)

    await while_loading(ledger, moves)
    await ledger.assert_all_settled()
    ledger.report("run killed")
    before = len(system.receiver.received)
    assert await run.terminate(60) == 0
    assert not processes_with(str(system.directory / "run"))
    run = await system.run(kafka_port)
    await ledger.post_all(1, connections=1)
    await ledger.assert_all_settled()
    assert len(system.receiver.received) == before + len(system.destinations)
    assert await run.terminate(60) == 0
    return ledger


async def kill_the_broker(system: System, *, kills: int, per_kill: int, away_s: float) -> Ledger:
    """Kill -9 the broker again and again and start it ``away_s`` after ingest has noticed."""
    ledger = Ledger(system)
    ingest, worker = await system.start_ingest(), await system.worker()

    async def moves() -> None:
        for _ in range(kills):
            await ledger.advanced(per_kill)
            refused = ledger.answers[503]
            system.kafka.kill()
            await eventually(lambda refused=refused: ledger.answers[503] > refused)  # type: ignore[misc]
            await asyncio.sleep(away_s)
            await system.kafka.restart()
            before = len(ledger.accepted)
            await eventually(lambda before=before: len(ledger.accepted) > before, 30)  # type: ignore[misc]
        await ledger.advanced(per_kill)

    await while_loading(ledger, moves)
    await ledger.assert_all_settled()
    ledger.report("broker killed")
    assert ingest.running
    assert worker.running  # no restart was needed
    assert min(ledger.retry_after_s) >= 1
    await ledger.assert_a_restart_repeats_nothing([worker])
    return ledger


async def freeze_the_broker(system: System, *, frozen_s: float, per_move: int) -> Ledger:
    """Freeze the broker as a whole: connections stay open, nothing answers."""
    ledger = Ledger(system)
    ingest, worker = await system.start_ingest(), await system.worker()

    async def moves() -> None:
        await ledger.advanced(per_move)
        system.kafka.pause()
        await asyncio.sleep(frozen_s)
        assert ledger.answers[503] > 0
        system.kafka.resume()
        await ledger.advanced(per_move)

    await while_loading(ledger, moves)
    await ledger.assert_all_settled()
    ledger.report("broker frozen")
    # Nothing can be committed meanwhile; thawed, the broker may hold the session for expired.
    assert ledger.repeated() <= len(system.destinations) * (CALLED_MAX + IN_FLIGHT_MAX)
    assert ingest.running
    assert worker.running
    assert min(ledger.retry_after_s) >= 1
    await ledger.assert_a_restart_repeats_nothing([worker])
    return ledger


async def move_workers(system: System, *, workers: int, rounds: int, rate: float = 300) -> Ledger:
    """Workers join, leave by SIGTERM, are killed, lose their data directory and are frozen, under load."""
    system.receiver.answers["/"] = Answer(delay_s=CALL_S)
    ledger = Ledger(system)
    await system.start_ingest()
    running = {"w1": await system.worker("w1")}

    async def moves() -> None:
        for _ in range(rounds):
            await one_round(system, ledger, running, workers)

    await while_loading(ledger, moves, rate=rate)
    for name, worker in list(running.items()):
        if not worker.running:  # what `headrace run` does with one that ended by itself
            running[name] = await system.worker(name)
    await ledger.assert_all_settled(120)
    ledger.report(f"{workers} workers moved {rounds} times")
    assert ledger.repeated() <= ledger.repeats_max + len(ledger.kills) * len(system.destinations) * IN_FLIGHT_MAX
    await ledger.assert_a_restart_repeats_nothing(list(running.values()))
    return ledger


async def one_round(system: System, ledger: Ledger, running: dict[str, HeadraceProcess], workers: int) -> None:
    """Let all workers join; then one leaves, one is killed and loses its disk, one is frozen."""
    names = [f"w{n + 1}" for n in range(workers)]
    for name in names:
        if name not in running or not running[name].running:
            running[name] = await system.worker(name)
            await ledger.advanced()
    joined_s = time.time()
    assert await running.pop(names[-1]).terminate(60) == 0
    await ledger.advanced()
    repeats = ledger.repeats(joined_s)
    assert not repeats, f"a worker that leaves repeats nothing: {repeats}, {await ledger.explain(set(repeats))}"
    running[names[-1]] = await system.worker(names[-1])
    await ledger.advanced()
    ledger.kill(running.pop(names[0]), LOADED_COMMIT_S)
    shutil.rmtree(system.directory / names[0])
    running[names[0]] = await system.worker(names[0])
    await ledger.advanced()
    frozen = running[names[-1]]
    frozen.signal(signal.SIGSTOP)
    ledger.note_in_flight(LOADED_COMMIT_S)
    await asyncio.sleep(FROZEN_S)
    await ledger.advanced()
    frozen.signal(signal.SIGCONT)
    await ledger.advanced()


async def hang_one(system: System, *, events: int, connections: int) -> tuple[float, float]:
    """Return the p99 of ``a``'s delivery age, in seconds, while ``b`` answers at once, and while it hangs 10 s a call.

    An age is from accepted to called, by the clock of the test.
    """
    ledger = Ledger(system)
    await system.start_ingest()
    await system.worker()
    await ledger.post_all(100, connections=connections)  # warm
    await system.idle()
    before = await _age_p99_s(system, ledger, events, connections)
    system.receiver.answers["/b"] = Answer(delay_s=10)
    during = await _age_p99_s(system, ledger, events, connections)
    print(f"p99 of the delivery age: {before * 1000:.0f} ms, and {during * 1000:.0f} ms while another hangs")
    return before, during


async def _age_p99_s(system: System, ledger: Ledger, events: int, connections: int) -> float:
    accepted, received = set(ledger.accepted), len(system.receiver.calls("/a"))
    ended = asyncio.Event()
    load = asyncio.create_task(ledger.load(ended, connections=connections, rate=100))
    await eventually(lambda: len(ledger.accepted) >= len(accepted) + events, 120)
    ended.set()
    await load
    new = set(ledger.accepted) - accepted
    await eventually(lambda: len(system.receiver.calls("/a")) >= received + len(new), 60)
    called = {call.path.removeprefix("/a/"): call.at_s for call in system.receiver.calls("/a")}
    ages_s = sorted(called[one] - ledger.posted_at_s[one] for one in new)
    return ages_s[len(ages_s) * 99 // 100]


async def hang_with_large_bodies(system: System, *, deliveries: int, body_bytes: int, watched_s: float = 30.0) -> float:
    """Let many large deliveries wait for a destination that hangs; return the worker's peak memory in MiB.

    It is watched for so long after the last event was fanned out: consumers fill their buffers.
    """
    system.receiver.answers["/"] = Answer(hang=True)
    ledger = Ledger(system)
    await system.start_ingest()
    worker = await system.worker()
    await ledger.post_all(deliveries // len(system.table["routes"]), connections=4, size=body_bytes)

    await eventually(lambda: _fanned_out(system), 300, 1.0)
    await eventually(lambda: system.receiver.in_flight >= 8)
    await asyncio.sleep(watched_s)
    assert worker.running
    waiting = sum(end - offset for part, (offset, end) in (await system.queues()).items())
    peak = peak_mib(worker.pid)
    print(f"{waiting} deliveries of {body_bytes} bytes wait, {system.receiver.in_flight} in flight: {peak:.0f} MiB")
    assert waiting == deliveries
    return peak


async def see_many(system: System, *, ids: int) -> float:
    """Let fan-out mark so many ids as seen, and recover them into an empty directory; return the peak memory in MiB."""
    system.table["sources"]["other"] = {**system.table["sources"]["github"]}
    system.table["routes"][0]["source"] = "other"  # no event of github is routed
    system.write_table()
    worker = await system.worker()
    async with producing(system.settings) as producer:
        for first in range(0, ids, 1000):
            sends = [await _send_event(producer, system, f"id-{n}") for n in range(first, min(ids, first + 1000))]
            await asyncio.gather(*sends)
    await eventually(lambda: _fanned_out(system), ids / 500 + 60, 1.0)
    marking = peak_mib(worker.pid)
    print(f"{ids} ids marked as seen: peak {marking:.0f} MiB")
    assert f'headrace_events_total{{outcome="unrouted",source="github"}} {float(ids)}' in (
        await system.admin(worker, "/metrics")
    )[1].replace("1e+06", "1000000.0")
    assert await worker.terminate(60) == 0
    began_s = time.monotonic()
    worker = system.start_worker("empty")
    await system.ready(worker, 60 + ids / 1000)
    recovered_s = time.monotonic() - began_s
    recovering = peak_mib(worker.pid)
    async with producing(system.settings) as producer:
        await asyncio.gather(*[await _send_event(producer, system, f"id-{n}") for n in range(1000)])
    await eventually(lambda: _fanned_out(system), 60)
    assert (
        f'headrace_events_total{{outcome="duplicate",source="github"}} {min(ids, 1000):.1f}'
        in (await system.admin(worker, "/metrics"))[1]
    )
    print(f"recovered into an empty directory in {recovered_s:.0f} s: peak {recovering:.0f} MiB")
    return max(marking, recovering)


async def _send_event(producer: Any, system: System, event_id: str) -> Any:
    event = Event("github", event_id, event_id, "push", time.time_ns() // 1_000_000, b"{}", event_id.encode())
    topic = system.names.events("github")
    return await producer.send(topic, event.body, event.key, headers=event.to_headers())


async def _fanned_out(system: System) -> bool:
    queues = await system.queues()
    events = {part: at for part, at in queues.items() if part.topic == system.names.events("github")}
    return all(offset == end for offset, end in events.values())


def peak_mib(pid: int) -> float:
    """Return the peak resident memory of a process."""
    return int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def not_ready(system: System, process: HeadraceProcess) -> bool:
    """Return whether ``/readyz`` says no."""
    return (await system.admin(process, "/readyz"))[0] != 200


async def spool_through_an_outage(
    system: System,
    *,
    freeze: bool,
    away_s: float,
    rate: float,
    kill_ingest: bool,
    processes: int = 1,
    connections: int = 32,
    settle_s: float = 120,
) -> Ledger:
    """Take the broker away under load, with a spool; kill ingest in the middle: all that got 200 is called, once."""
    system.table["ingest"] = {"spool": {"disk_free_bytes_min": 0}}
    system.write_table()
    ingest, _ = await system.start_ingest(processes), await system.worker()
    ledger = Ledger(system)

    async def moves() -> None:
        await ledger.advanced(50)
        before_s = time.monotonic()
        if freeze:
            system.kafka.pause()
        else:
            system.kafka.kill()
        ledger.note_in_flight(LOADED_COMMIT_S)
        await eventually(lambda: None in ledger.accepted.values(), 30)
        spooled_at = len(ledger.accepted)
        await asyncio.sleep(away_s / 2)
        if kill_ingest:
            ingest.kill()
            await system.start_ingest(processes)  # ready, without Kafka
        await eventually(lambda: len(ledger.accepted) > spooled_at + 100, 60)
        await asyncio.sleep(max(0.0, before_s + away_s - time.monotonic()))
        if freeze:
            system.kafka.resume()
        else:
            await system.kafka.restart()
        await eventually(lambda: list(ledger.accepted.values())[-1] is not None, 120)

    await while_loading(ledger, moves, connections=connections, rate=rate)
    queued = sum(receipt is None for receipt in ledger.accepted.values())
    print(f"{queued} of {len(ledger.accepted)} accepted by the spool")
    await eventually(lambda: _spool_is_empty(system), settle_s)
    await ledger.assert_all_settled(settle_s)
    ledger.report("outage")
    assert queued > 100
    # Nothing can be committed meanwhile: the worker may repeat what it had in work, and nothing that was spooled.
    assert ledger.repeated() <= ledger.repeats_max + len(system.destinations) * (CALLED_MAX + IN_FLIGHT_MAX)
    spooled = {event_id for event_id, receipt in ledger.accepted.items() if receipt is None}
    assert [path for path in ledger.repeats() if path.rpartition("/")[2] in spooled] == []
    return ledger


async def _spool_is_empty(system: System) -> bool:
    """Return whether an ingest process that runs says so."""
    for port in system.admin_ports.values():
        try:
            async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as answer:
                lines = (await answer.text()).splitlines()
        except aiohttp.ClientError:
            continue
        for line in lines:
            if line.startswith("headrace_ingest_spool_events "):
                return float(line.split()[-1]) == 0
    return False


async def lose_a_disk(system: System, cluster: KafkaCluster, *, losses: int, per_move: int) -> Ledger:
    """Kill -9 one broker of three under load, empty its disk, start it with nothing, and wait until it is in sync.

    The next loss is another broker's: what was copied to the empty one in between must be all there is.
    """
    ledger = Ledger(system)
    await system.start_ingest()
    worker = await system.worker()
    topics = [system.names.events("github"), *map(system.names.deliveries, system.destinations)]

    async def moves() -> None:
        for n in range(losses):
            await ledger.advanced(per_move)
            node = cluster.nodes[n % len(cluster.nodes)]
            node.lose_disk()
            await eventually(partial(fewer_in_sync, cluster, topics), 60, 0.2)
            before = len(ledger.accepted)
            await eventually(lambda before=before: len(ledger.accepted) > before + 50, 60)  # type: ignore[misc]  # two go on
            await node.start(120)
            await cluster.whole(topics)
        await ledger.advanced(per_move)

    await while_loading(ledger, moves, rate=200)
    await ledger.assert_all_settled(120)
    ledger.report("disks lost")
    assert worker.running
    # The log itself holds what was accepted: no partition lost its end.
    held = {one async for one in _event_ids(system)}
    assert set(ledger.accepted) <= held
    return ledger


async def fewer_in_sync(cluster: KafkaCluster, topics: list[str]) -> bool:
    """Return whether a partition of the topics has lost a replica."""
    return await cluster.in_sync(topics) < len(cluster.nodes)


async def _event_ids(system: System) -> AsyncIterator[str]:
    async for record in read_topic(system.settings, system.names.events("github")):
        yield Event.from_record(record.key, record.value, record.headers).id
