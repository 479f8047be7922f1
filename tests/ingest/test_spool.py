"""The spool on a real disk, with a Kafka that answers as told."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from headrace.cli import main
from ingest.accept import Unavailable
from ingest.drain import ADOPT_INTERVAL_S, DAMAGED_INTERVAL_S, Drain
from ingest.keep import SpooledPublisher
from ingest.metrics import IngestMetrics
from ingest.outage import FAILURES_MAX, PROBE_INTERVAL_S, Outage
from ingest.own_spool import own_spool
from ingest.spool import Bounds, Spool, SpoolBroken, SpoolFull, opened
from ingest.spool_place import PLACES_MAX, NoPlace, claim_first, claim_orphans
from ingest.spool_store import SpoolStore, decode, encode
from ingest.spool_watch import SpoolWatch
from streams.event import Event, Receipt
from tests.harness import eventually

BOUNDS = Bounds(events_max=10_000, bytes_max=100_000_000, disk_free_bytes_min=0)


def event(number: int = 1, body: bytes = b"{}", time_ms: int = 1_000) -> Event:
    return Event("github", f"e-{number}", f"d-{number}", "push", time_ms, body, f"d-{number}".encode())


class FakeKafka:
    """What a publisher does, at a word: acknowledge, stay silent, or refuse some."""

    def __init__(self) -> None:
        self.ready = True
        self.silent = False
        self.refused: set[str] = set()
        self.published: list[str] = []
        self.asked = 0

    async def publish(self, event: Event, *, timeout_s: float | None = None) -> Receipt:
        self.asked += 1
        await asyncio.sleep(0)
        if self.silent or event.id in self.refused:
            raise Unavailable
        self.published.append(event.id)
        return Receipt(event.source, 0, len(self.published))


class Parts:
    def __init__(self, spool: Spool, place: Path) -> None:
        self.kafka, self.spool, self.outage = FakeKafka(), spool, Outage()
        self.registry = CollectorRegistry()
        self.metrics = IngestMetrics(self.registry)
        self.now_s = 0.0
        self.keep = SpooledPublisher(
            self.kafka, spool, self.outage, self.metrics.spool, after_s=1, monotonic_s=lambda: self.now_s
        )  # fmt: skip
        self.drain = Drain(
            spool, self.kafka.publish, self.outage, self.metrics.spool, place=place, per_s=1e9,
            ready=lambda: self.kafka.ready, monotonic_s=lambda: self.now_s, sleep=lambda _: asyncio.sleep(0),
        )  # fmt: skip

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


@contextlib.asynccontextmanager
async def parts_in(place: Path, bounds: Bounds = BOUNDS) -> AsyncIterator[Parts]:
    claim = claim_first(place)
    async with opened(claim.path, bounds) as spool:
        yield Parts(spool, place)
    claim.release()


@given(
    body=st.binary(),
    text=st.text(st.characters(exclude_categories=("Cs",))),
    time_ms=st.integers(0, 2**62),
    headers=st.dictionaries(st.text(st.characters(exclude_categories=("Cs",))), st.text("aé\0\r\n")),
)
def test_any_event_comes_back_as_it_was(body: bytes, text: str, time_ms: int, headers: dict[str, str]) -> None:
    whole = Event("s", text, text, text, time_ms, body, text.encode(), text, text, headers)
    assert decode(encode(whole)) == whole


def test_a_record_of_another_version_is_none() -> None:
    record = encode(event())
    assert decode(b"\x02" + record[1:]) is None
    assert decode(record.replace(b'"dedup_id"', b'"dedup_xx"')) is None


async def test_what_was_put_is_there_after_a_new_start_in_its_order(tmp_path: Path) -> None:
    async with opened(tmp_path / "0", BOUNDS) as spool:
        await asyncio.gather(*(spool.put(event(number)) for number in range(300)))
        assert (await spool.read(None, events_max=2, bytes_max=10**9))[1].event == event(1)
    async with opened(tmp_path / "0", BOUNDS) as spool:
        assert spool.events == 300
        entries = await spool.read(None, events_max=1000, bytes_max=10**9)
        assert [one.event for one in entries] == [event(number) for number in range(300)]
        assert spool.bytes == sum(one.size for one in entries)
        await spool.delete([one.key for one in entries[:299]])
        await spool.put(event(300))
        rest = await spool.read(None, events_max=1000, bytes_max=10**9)
        assert [one.event for one in rest] == [event(299), event(300)]


async def test_requests_that_wait_together_share_one_sync(tmp_path: Path) -> None:
    groups: list[int] = []

    class Counting(SpoolStore):
        def append(self, records: Sequence[tuple[int, bytes]]) -> None:
            groups.append(len(records))
            super().append(records)

    spool = Spool(tmp_path, BOUNDS, store=Counting(tmp_path / "0"))
    await spool.open()
    await asyncio.gather(*(spool.put(event(number)) for number in range(500)))
    await spool.close()
    assert sum(groups) == 500
    assert len(groups) < 20


async def test_a_full_spool_refuses_and_takes_again_when_there_is_room(tmp_path: Path) -> None:
    async with opened(tmp_path / "0", Bounds(2, 10**9, 0)) as spool:
        results = await asyncio.gather(*(spool.put(event(number)) for number in range(5)), return_exceptions=True)
        assert [type(result) for result in results].count(SpoolFull) == 3
        assert spool.full
        (first, _) = await spool.read(None, events_max=10, bytes_max=10**9)
        await spool.delete([first.key])
        await spool.put(event(6))
    async with opened(tmp_path / "1", Bounds(100, 1000, 0)) as spool:
        with pytest.raises(SpoolFull):
            await spool.put(event(1, body=b"x" * 1000))
        await spool.put(event(1, body=b"x" * 500))
    async with opened(tmp_path / "2", Bounds(100, 1000, 2**62)) as spool:  # no disk has that much
        with pytest.raises(SpoolFull):
            await spool.put(event())
        assert spool.events == 0


async def test_a_disk_that_refuses_keeps_nothing_and_recovers(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "0", BOUNDS)
    await spool.open()
    await spool.put(event(1))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # No file may grow beyond 64 KiB: to a write it looks like a full disk (EFBIG, not ENOSPC).
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, limits[1]))
    try:
        with pytest.raises(SpoolBroken):
            await spool.put(event(2, body=b"x" * 1_000_000))
        assert spool.broken
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    async def taken() -> bool:
        try:
            await spool.put(event(3))
        except SpoolBroken:
            return False
        return True

    await eventually(taken, 10, 0.2)
    await spool.look()
    assert not spool.broken
    found = [one.event for one in await spool.read(None, events_max=10, bytes_max=10**9)]
    assert found[0] == event(1)
    assert found[-1] == event(3)
    assert spool.events == len(found)
    await spool.close()


async def test_while_kafka_is_silent_events_go_to_the_spool_and_after_some_at_once(tmp_path: Path) -> None:
    async with parts_in(tmp_path) as parts:
        assert await parts.keep.publish(event(0)) is not None
        parts.kafka.silent, parts.kafka.asked = True, 0
        for number in range(1, 50):
            assert await parts.keep.publish(event(number)) is None
        assert parts.kafka.asked == FAILURES_MAX
        parts.now_s += PROBE_INTERVAL_S
        assert await parts.keep.publish(event(50)) is None
        assert parts.kafka.asked == FAILURES_MAX + 1
        parts.kafka.silent = False
        assert await parts.keep.publish(event(51)) is None  # not its turn to probe
        parts.now_s += PROBE_INTERVAL_S
        assert await parts.keep.publish(event(52)) is not None
        assert not parts.outage.away
        assert parts.spool.events == 51
        assert parts.value("headrace_ingest_spooled_total") == 51


async def test_neither_kafka_nor_spool_is_unavailable_and_counted(tmp_path: Path) -> None:
    async with parts_in(tmp_path, Bounds(1, 10**6, 0)) as parts:
        parts.kafka.ready = False
        assert await parts.keep.publish(event(1)) is None
        assert not parts.keep.has_room
        with pytest.raises(Unavailable):
            await parts.keep.publish(event(2))
        assert parts.value("headrace_ingest_spool_refused_total", reason="full") == 1


async def test_the_drain_publishes_the_oldest_first_and_ends_the_outage(tmp_path: Path) -> None:
    async with parts_in(tmp_path) as parts:
        parts.kafka.silent = True
        await asyncio.gather(*(parts.keep.publish(event(number)) for number in range(250)))
        assert parts.outage.away
        await parts.drain.drain(parts.spool)
        assert parts.kafka.published == []
        parts.now_s += 1
        parts.kafka.silent = False
        await parts.drain.drain(parts.spool)
        assert not parts.outage.away
        await parts.drain.drain(parts.spool)
        assert sorted(parts.kafka.published) == sorted(f"e-{number}" for number in range(250))
        assert parts.spool.events == parts.spool.bytes == 0
        assert parts.value("headrace_ingest_spool_published_total") == 250


async def test_what_kafka_refuses_stays_and_holds_up_nothing(tmp_path: Path) -> None:
    async with parts_in(tmp_path) as parts:
        await asyncio.gather(*(parts.spool.put(event(number)) for number in range(500)))
        parts.kafka.refused = {f"e-{number}" for number in range(150)}
        for _ in range(10):
            parts.now_s += 1
            await parts.drain.drain(parts.spool)
        assert len(parts.kafka.published) == len(set(parts.kafka.published)) == 350
        assert parts.spool.events == 150
        parts.kafka.refused = set()
        for _ in range(10):
            parts.now_s += 1
            await parts.drain.drain(parts.spool)
        assert parts.spool.events == 0


async def test_a_crash_between_publish_and_delete_publishes_the_same_record_again(tmp_path: Path) -> None:
    async with opened(tmp_path / "0", BOUNDS) as spool:
        await spool.put(event(1))
        (before,) = await spool.read(None, events_max=10, bytes_max=10**9)
    async with opened(tmp_path / "0", BOUNDS) as spool:  # nothing was deleted
        (after,) = await spool.read(None, events_max=10, bytes_max=10**9)
    assert before.event is not None
    assert after.event is not None
    assert (before.event.key, before.event.to_headers()) == (after.event.key, after.event.to_headers())


async def test_an_orphan_is_adopted_published_and_removed(tmp_path: Path) -> None:
    first, second = claim_first(tmp_path), claim_first(tmp_path)
    for claim, numbers in ((first, (1, 2)), (second, (3,))):
        async with opened(claim.path, BOUNDS) as spool:
            for number in numbers:
                await spool.put(event(number))
        claim.release()
    async with parts_in(tmp_path) as parts:
        assert parts.spool.events == 2  # the first place is its own again
        running = asyncio.create_task(parts.drain.run())
        await eventually(lambda: sorted(parts.kafka.published) == ["e-1", "e-2", "e-3"])
        await eventually(lambda: not second.path.exists())
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert not list(claim_orphans(tmp_path / "nowhere"))


async def _spool_of(place: Path, number: int) -> Path:
    """Make a spool of one event, as kill -9 leaves it, and return where it is."""
    path = place / str(number)
    async with opened(place.parent / "killed", BOUNDS) as spool:
        await spool.put(event(number))
        shutil.copytree(place.parent / "killed", path)
        (entry,) = await spool.read(None, events_max=10, bytes_max=10**9)
        await spool.delete([entry.key])
    return path


async def test_a_damaged_spool_is_mended_by_the_command_which_keeps_a_copy(tmp_path: Path) -> None:
    damaged = await _spool_of(tmp_path / "spool", 0)
    (damaged / "CURRENT").write_text("garbage")

    def mend() -> Result:
        return CliRunner().invoke(main, ["mend-spool", "0", "--data-dir", str(tmp_path)])

    (claim,) = claim_orphans(tmp_path / "spool")
    refused = await asyncio.to_thread(mend)
    assert (refused.exit_code, "a process has it open" in refused.stderr) == (1, True)
    claim.release()
    mended = await asyncio.to_thread(mend)
    assert mended.exit_code == 0, mended.stderr
    assert "1 events can be read" in mended.stdout
    async with opened(damaged, BOUNDS) as spool:
        assert spool.events == 1
    (copy,) = (tmp_path / "spool").glob("0.damaged-*")
    assert (copy / "CURRENT").read_text() == "garbage"


@pytest.mark.parametrize("lost", ["garbage", None])
async def test_a_damaged_spool_keeps_no_new_events_out_and_is_published_once_mended(
    tmp_path: Path, lost: str | None
) -> None:
    place = tmp_path / "spool"
    damaged = await _spool_of(place, 0)
    current = (damaged / "CURRENT").read_text()
    if lost is None:
        (damaged / "CURRENT").unlink()
    else:
        (damaged / "CURRENT").write_text(lost)
    async with own_spool(place, BOUNDS) as spool:
        parts = Parts(spool, place)
        running = asyncio.create_task(parts.drain.run())
        await spool.put(event(7))
        await eventually(lambda: parts.kafka.published == ["e-7"])
        await eventually(lambda: parts.value("headrace_ingest_spools_damaged") == 1)
        (damaged / "CURRENT").write_text(current)
        parts.now_s += DAMAGED_INTERVAL_S
        spool.filled.set()
        await eventually(lambda: parts.kafka.published == ["e-7", "e-0"])
        parts.now_s += ADOPT_INTERVAL_S
        spool.filled.set()
        await eventually(lambda: parts.value("headrace_ingest_spools_damaged") == 0)
        assert not damaged.exists()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_damage_before_the_end_is_told_and_not_dropped_with_all_behind_it(tmp_path: Path) -> None:
    async with opened(tmp_path / "killed", BOUNDS) as spool:
        for number in range(50):
            await spool.put(event(number))
        for copy in ("cut", "middle"):
            shutil.copytree(tmp_path / "killed", tmp_path / copy)
    (cut,), (middle,) = (list((tmp_path / copy).glob("*.log")) for copy in ("cut", "middle"))
    raw = bytearray(cut.read_bytes())
    cut.write_bytes(raw[:-3])  # a crash while the last was written: nobody was told that it is kept
    raw[len(raw) // 2] ^= 0xFF
    middle.write_bytes(raw)
    async with opened(tmp_path / "cut", BOUNDS) as spool:
        assert spool.events == 49
    with pytest.raises(SpoolBroken, match="Corruption"):
        async with opened(tmp_path / "middle", BOUNDS):
            pass


async def test_a_disk_that_refuses_a_new_spool_keeps_no_process_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuses = True

    def database(self: SpoolStore) -> object:
        if refuses:
            raise OSError("No space left on device")
        return original(self)

    original = SpoolStore._database
    monkeypatch.setattr(SpoolStore, "_database", database)
    async with own_spool(tmp_path, BOUNDS) as spool:
        with pytest.raises(SpoolBroken):
            await spool.put(event(1))
        assert spool.broken
        refuses = False
        await spool.look()
        await spool.put(event(2))
        assert (spool.broken, spool.events) == (False, 1)


def test_a_place_that_is_taken_is_nobody_elses(tmp_path: Path) -> None:
    first = claim_first(tmp_path)
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "CURRENT").touch()
    assert list(claim_orphans(tmp_path)) == []
    assert claim_first(tmp_path).path.name == "1"
    first.release()
    assert [claim.path.name for claim in claim_orphans(tmp_path)] == ["0"]


def test_without_a_place_the_reason_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NoPlace, match="cannot be used"):
        claim_first(tmp_path / "file")
    claims = [claim_first(tmp_path) for _ in range(PLACES_MAX)]
    with pytest.raises(NoPlace, match="in use"):
        claim_first(tmp_path)
    for claim in claims:
        claim.release()


async def test_the_watch_sets_the_gauges_and_tells_once_that_the_spool_fills(tmp_path: Path) -> None:
    told: list[float] = []

    async def filling(used_ratio: float) -> None:
        told.append(used_ratio)

    async with parts_in(tmp_path, Bounds(10, 10**6, 0)) as parts:
        watch = SpoolWatch(
            parts.drain.spools,
            parts.metrics.spool,
            capacity=parts.metrics.capacity_used_ratio,
            filling=filling,
            now_s=lambda: 61.0,
        )
        for number in range(4):
            await parts.spool.put(event(number))
        await watch.look()
        assert told == []
        assert parts.value("headrace_ingest_spool_events") == 4
        assert parts.value("headrace_ingest_spool_oldest_seconds") == 60
        assert parts.value("headrace_capacity_used_ratio", resource="spool") == 0.4
        await parts.spool.put(event(5))
        await watch.look()
        await watch.look()
        assert told == [0.5]
        await parts.drain.drain(parts.spool)
        await watch.look()
        assert parts.value("headrace_ingest_spool_oldest_seconds") == 0
        for number in range(6):
            await parts.spool.put(event(number))
        await watch.look()
        assert told == [0.5, 0.6]


async def test_a_defect_does_not_end_the_drain(tmp_path: Path) -> None:
    async with parts_in(tmp_path) as parts:
        await parts.spool.put(event(1))
        answer, defects = parts.kafka.publish, [RuntimeError("a defect")]

        async def publish(event: Event, *, timeout_s: float | None = None) -> Receipt:
            if defects:
                raise defects.pop()
            return await answer(event)

        parts.drain._publish = publish
        running = asyncio.create_task(parts.drain.run())
        await eventually(lambda: parts.kafka.published == ["e-1"])
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
