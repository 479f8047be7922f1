"""A driver's connections, as they are made by asyncio's loop and by uvloop's: to a server with TLS on loopback."""

import asyncio
import socket
import ssl
from contextlib import asynccontextmanager

import pytest
import trustme
import uvloop

from connectors.addresses import AddressRefused
from connectors.guarded_loop import GuardedLoop
from tests.connectors.test_addresses import Names

AUTHORITY = trustme.CA()


@asynccontextmanager
async def server(*, tls=False):
    """Yield the port of a server that says hello, and the list of who came."""
    came = []

    async def serve(reader, writer):
        came.append(writer.get_extra_info("peername"))
        writer.write(b"hello\n")
        await writer.drain()
        writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert("db.example").configure_cert(context)
    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context if tls else None)
    async with listening:
        yield listening.sockets[0].getsockname()[1], came


async def hello(host, port, *, context=None, **guard):
    loop = asyncio.get_running_loop()
    guarded = GuardedLoop(loop, **{"allow_private": False, **guard})
    reader = asyncio.StreamReader()
    transport, _ = await guarded.create_connection(
        lambda: asyncio.StreamReaderProtocol(reader), host, port, **({"ssl": context} if context else {})
    )
    try:
        assert transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        return await reader.readline()
    finally:
        transport.close()


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request):
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner.run


def test_a_name_is_connected_to_where_it_was_checked_and_nowhere_else(run):
    async def scene():
        async with server() as (port, came):
            # A name has another address each time that it is asked for.
            names = Names(["127.0.0.1"], ["127.0.0.1"], ["1.1.1.1"])
            with pytest.raises(AddressRefused, match=r"db\.example has the address 127\.0\.0\.1"):
                await hello("db.example", port, resolver=names)
            assert came == []
            assert await hello("db.example", port, resolver=names, allow_private=True) == b"hello\n"
            assert len(names.answers) == 1

    run(scene())


def test_a_number_needs_leave_if_a_server_named_it(run):
    async def scene():
        async with server() as (port, came):
            for host in ("127.0.0.1", "2130706433"):
                with pytest.raises(AddressRefused, match=r"a server names the address 127\.0\.0\.1"):
                    await hello(host, port, written=lambda host: False)
            assert came == []
            assert await hello("127.0.0.1", port) == b"hello\n"
            assert await hello("127.1", port, written=lambda host: False, allow_private=True) == b"hello\n"

    run(scene())


def test_tls_asks_for_the_certificate_of_the_name(run):
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)

    async def scene():
        async with server(tls=True) as (port, _):
            here = {"resolver": Names(["127.0.0.1"], ["127.0.0.1"]), "allow_private": True, "context": context}
            assert await hello("db.example", port, **here) == b"hello\n"
            with pytest.raises(ssl.SSLCertVerificationError, match=r"other\.example"):
                await hello("other.example", port, **here)

    run(scene())


def test_it_is_the_loop_in_all_else(run):
    async def scene():
        loop = asyncio.get_running_loop()
        guarded = GuardedLoop(loop, allow_private=False)
        assert guarded.time() <= loop.time()
        assert await guarded.create_task(asyncio.sleep(0, "done")) == "done"
        assert asyncio.current_task(guarded) is asyncio.current_task()

    run(scene())
