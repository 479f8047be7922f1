"""The end of the public port: nobody who connected before it is reset, and nobody is left without an answer."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from tests.harness import eventually
from tests.ingest.test_server import post, read_answer, serving


@pytest.mark.parametrize("loop_is_uvloop", [False, True])
def test_connections_that_wait_to_be_accepted_are_served(loop_is_uvloop: bool) -> None:
    import uvloop

    waiting: list[socket.socket] = []

    async def connect_and_end() -> int:
        async with serving() as port:
            for _ in range(60):  # without a turn of the loop: they stay in the kernel's queue
                waiting.append(socket.create_connection(("127.0.0.1", port.number)))
                waiting[-1].sendall(post(b"{}"))
        return len(port.events)

    run = uvloop.run if loop_is_uvloop else asyncio.run
    assert run(connect_and_end()) == 60
    for sock in waiting:
        answer = sock.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"Connection: close" in answer
        sock.close()


async def test_after_the_announcement_events_are_accepted_and_each_answer_closes_its_connection() -> None:
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
        writer.write(post(b"{}"))
        status, headers, _ = await read_answer(reader)
        assert (status, headers.get("connection")) == (200, None)
        port.server.announce_end()
        writer.write(post(b"{}"))
        status, headers, _ = await read_answer(reader)
        assert (status, headers["connection"]) == (200, "close")
        assert await reader.read() == b""
        writer.close()
        assert (await port.raw(post(b"{}")))[0] == 200


async def test_keep_alive_clients_that_reconnect_lose_nothing_at_an_announced_end() -> None:
    """What a load balancer does: it reuses a connection until it is told to close it."""
    answered: list[int] = []

    async def client() -> None:
        while not over.is_set():
            with contextlib.suppress(ConnectionRefusedError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
                while not over.is_set():
                    writer.write(post(b"{}"))
                    status, headers, _ = await read_answer(reader)
                    answered.append(status)
                    if headers.get("connection") == "close":
                        break
                writer.close()

    over = asyncio.Event()
    async with serving() as port:
        clients = [asyncio.create_task(client()) for _ in range(20)]
        await eventually(lambda: len(answered) >= 200)
        port.server.announce_end()
        before = len(answered)
        await eventually(lambda: len(answered) >= before + 200)  # by way of new connections: each is for one answer now
        over.set()  # the balancer has noticed: it sends no more
    await asyncio.gather(*clients)
    assert set(answered) == {200}
    assert len(port.events) == len(answered)
