"""Why a service could not be reached is said in words, and never with the name of a class."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from connectors.reasons import reason_of

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


async def speak_otherwise(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"220 mail.example.com ESMTP\r\n")
    writer.close()


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"220 mail.example.com ESMTP\r\n")
    writer.close()


async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
    writer.close()


async def failure_of(url: str) -> str:
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        with pytest.raises(aiohttp.ClientError) as caught:
            async with session.get(url) as answer:
                await answer.read()
    return reason_of(caught.value)


@pytest.mark.parametrize(
    ("serve", "scheme", "reason"),
    [
        (hang_up, "http", "it closed the connection without an answer"),
        (speak_otherwise, "http", "its answer is not HTTP"),
        (break_off, "http", "its answer broke off"),
        (greet, "https", "no TLS connection could be made"),
    ],
)
async def test_a_server_that_does_not_answer_as_it_should(serve: Serve, scheme: str, reason: str) -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert (await failure_of(f"{scheme}://127.0.0.1:{port}/")).startswith(reason)


async def test_nobody_listens() -> None:
    with socket.socket() as taken:  # bound, and not listening
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        assert await failure_of(url) == "no connection could be made (Connection refused)"


async def test_a_name_that_there_is_not() -> None:
    assert (await failure_of("http://nowhere.invalid/")).startswith("its name could not be resolved (")


def test_what_was_not_foreseen_is_named() -> None:
    assert reason_of(LookupError("a secret")) == "unexpected LookupError"
