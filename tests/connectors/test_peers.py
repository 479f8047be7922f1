"""What connectors with a protocol of their own promise when there is nobody at the other end who speaks it.

How they speak with somebody who does is in a file for each: test_email.py, test_postgres.py, and
tests/integration/test_kafka_connector.py.
"""

import asyncio
import logging
import time

import pytest
import structlog

from connectors.errors import TimeoutExceeded, TransientError, Unreachable
from connectors.registry import connector_names
from tests.connectors.test_conformance import ACTIONS, EXAMPLES, KEY, ONCE, call, secrets_of, shown_by

PEERS = [(name, action) for name, action in ACTIONS if getattr(EXAMPLES[name], "PROTOCOL", "") == "tcp"]
every_peer_action = pytest.mark.parametrize(("name", "action"), PEERS)


class Stranger:
    """Listens, and does to each connection as told: ``hang``, ``reset``, ``babble`` or ``flood``."""

    def __init__(self):
        self.manner = "hang"
        self.met = 0

    async def serve(self, reader, writer):
        self.met += 1
        try:
            if self.manner == "reset":
                writer.transport.abort()
            elif self.manner == "babble":
                writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(range(256)))
                await writer.drain()
                writer.close()
            elif self.manner == "flood":
                while True:
                    writer.write(b"220-" + b"x" * 65532)
                    await writer.drain()
            else:
                await reader.read()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def stranger():
    stranger = Stranger()
    server = await asyncio.start_server(stranger.serve, "127.0.0.1", 0)
    stranger.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield stranger
    server.close()


@pytest.fixture
def meeting(stranger, open_destination, tmp_path):
    async def open_it(name, base_url=None, **keys):
        base_url = base_url or stranger.base_url
        own = {"retry": ONCE, **EXAMPLES[name].settings(base_url, tmp_path), **keys}
        return await open_destination(name, own, secrets=secrets_of(name, base_url))

    return open_it


def test_every_connector_is_tried_by_http_locally_or_here():
    from tests.connectors.test_conformance import HTTP_ACTIONS, LOCAL_ACTIONS

    tried = [*HTTP_ACTIONS, *LOCAL_ACTIONS, *PEERS]
    assert sorted(tried) == sorted(ACTIONS)
    assert {name for name, _ in tried} == set(connector_names())


@every_peer_action
async def test_no_connection_is_transient(name, action, meeting, unused_tcp_port):
    destination = await meeting(name, f"http://127.0.0.1:{unused_tcp_port}")
    with pytest.raises(Unreachable, match="reached"):
        await call(destination, name, action)


@every_peer_action
@pytest.mark.parametrize("manner", ["reset", "babble"])
async def test_a_broken_connection_is_transient(name, action, manner, meeting, stranger):
    stranger.manner = manner
    with pytest.raises(TransientError) as caught:
        await call(await meeting(name), name, action)
    assert "raised" not in str(caught.value)


@every_peer_action
@pytest.mark.parametrize("manner", ["hang", "flood"])
async def test_a_call_is_bounded_in_all(name, action, manner, meeting, stranger):
    stranger.manner = manner
    destination = await meeting(name, timeout_s=0.5)
    started_s = time.monotonic()
    with pytest.raises(TransientError) as caught:
        await call(destination, name, action)
    if manner == "hang":
        assert type(caught.value) is TimeoutExceeded
    assert time.monotonic() - started_s < 30
    assert destination.in_flight == 0


@every_peer_action
async def test_a_cancelled_call_leaks_no_slot(name, action, meeting, stranger):
    destination = await meeting(name, concurrency=1)
    for round_number in range(3):
        task = asyncio.create_task(call(destination, name, action))
        async with asyncio.timeout(30):
            while stranger.met <= round_number:
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert destination.in_flight == 0


@every_peer_action
async def test_no_secret_is_shown(name, action, meeting, stranger, caplog):
    caplog.set_level(logging.DEBUG)
    shown = []
    with structlog.testing.capture_logs() as lines:
        for manner in ("hang", "reset", "babble"):
            stranger.manner = manner
            destination = await meeting(name, timeout_s=0.5)
            with pytest.raises(TransientError) as caught:
                await call(destination, name, action)
            shown += shown_by(caught.value)
    shown += [str(lines), caplog.text, repr(destination.settings), repr(destination._account.prepared), KEY]
    assert not any("planted" in text for text in shown)
