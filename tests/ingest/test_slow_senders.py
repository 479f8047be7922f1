"""Senders that are slow on purpose: thousands of them do not stop a good request."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator, Iterator

import pytest

from ingest.connections import Connections
from ingest.server import Limits
from tests.harness import eventually
from tests.ingest.test_server import Port, assert_error, post, read_answer, serving

SLOW = 2000


@pytest.fixture
def many_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(before[1], 10_000), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextlib.asynccontextmanager
async def slow_senders(port: Port, count: int, begun: bytes) -> AsyncIterator[list[asyncio.StreamWriter]]:
    writers = []
    for _ in range(count):
        _, writer = await asyncio.open_connection("127.0.0.1", port.number)
        writer.write(begun)
        writers.append(writer)
    yield writers
    for writer in writers:
        writer.transport.abort()


@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize(
    "begun",
    [
        b"",
        post(b"{}")[:40],
        post(b"{}").removesuffix(b"}"),
        post(b"{}", "Transfer-Encoding: chunked", length=False)[:-2],
    ],
    ids=["idle", "slow heads", "slow bodies", "slow chunks"],
)
async def test_2000_slow_connections_do_not_stop_a_good_request(begun: bytes) -> None:
    async with serving() as port, slow_senders(port, SLOW, begun) as senders:
        await eventually(lambda: len(port.server.connections) == SLOW)
        for _ in range(20):
            assert (await port.raw(post(b"{}")))[0] == 200
        for writer in senders[::100]:  # they go on, a byte at a time
            writer.write(b"X")
        assert (await port.raw(post(b"{}")))[0] == 200


async def test_beyond_the_limit_the_connection_that_was_idle_longest_makes_room() -> None:
    async with serving(Limits(connections_max=50)) as port, slow_senders(port, 200, b"POST /") as senders:
        await eventually(lambda: port.server.connections.evicted == 150)
        assert len(port.server.connections) == 50
        for _ in range(100):
            assert (await port.raw(post(b"{}")))[0] == 200
        assert len(senders) == 200


async def test_a_connection_that_works_is_not_evicted() -> None:
    gate = asyncio.Event()
    async with serving(Limits(connections_max=3), lambda _: gate.wait()) as port:
        working = [asyncio.create_task(port.raw(post(b"{}"))) for _ in range(3)]
        await eventually(lambda: port.server.in_flight == 3)
        async with slow_senders(port, 10, b""):
            await eventually(lambda: port.server.connections.evicted == 10)
            gate.set()
            assert [status for status, _, _ in await asyncio.gather(*working)] == [200] * 3


async def test_a_head_that_comes_too_slowly_gets_408_however_it_trickles() -> None:
    async with serving(Limits(head_timeout_s=0.5)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
        answer = asyncio.create_task(read_answer(reader))
        for byte in post(b"{}"):
            if answer.done():
                break
            writer.write(bytes([byte]))
            await asyncio.sleep(0.1)  # the trickle that is tested: a head of 20 s, of which each byte comes soon
        found = await answer
        assert_error(found, 408, "request_timeout")
        assert found[1]["connection"] == "close"
        assert await reader.read() == b""
        writer.close()


async def test_a_second_request_on_a_connection_has_its_own_time() -> None:
    async with serving(Limits(head_timeout_s=1.0)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
        for _ in range(3):
            await asyncio.sleep(0.6)  # three such pauses are longer than the time that one head has
            writer.write(post(b"{}"))
            assert (await read_answer(reader))[0] == 200
        writer.write(b"POST")
        assert_error(await read_answer(reader), 408, "request_timeout")
        writer.close()


async def test_a_slow_body_does_not_count_as_in_flight_and_a_drain_waits_for_it() -> None:
    async with serving(Limits(in_flight_max=1)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
        writer.write(post(b"{}").removesuffix(b"}"))
        await eventually(lambda: port.server._unanswered == 1)
        assert (await port.raw(post(b"{}")))[0] == 200
        port.server.announce_end()
        draining = asyncio.create_task(port.server._drain())
        await asyncio.sleep(0.1)  # a drain that did not wait would be over: there is no sign to await that it does
        assert not draining.done()
        writer.write(b"}")
        status, headers, _ = await read_answer(reader)
        assert (status, headers["connection"]) == (200, "close")
        await draining
        writer.close()


class Line:
    """A connection as `Connections` sees it."""

    def __init__(self, *, idle: bool = True) -> None:
        self.idle = idle
        self.ended = False

    def end(self) -> None:
        self.ended = True


def test_the_one_whose_last_request_is_longest_ago_is_evicted() -> None:
    connections = Connections(count_max=2, head_timeout_s=10)
    first, second, third = Line(), Line(), Line()
    connections.opened(first)
    connections.opened(second)
    connections.received(first, whole_head=True)
    connections.opened(third)
    assert [first.ended, second.ended, third.ended] == [False, True, False]


def test_when_all_work_the_new_one_is_refused() -> None:
    connections = Connections(count_max=1, head_timeout_s=10)
    working, new = Line(idle=False), Line(idle=False)
    connections.opened(working)
    connections.opened(new)
    assert [working.ended, new.ended, len(connections)] == [False, True, 1]
