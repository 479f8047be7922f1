"""A connection that breaks, on uvloop."""

from __future__ import annotations

import pytest
import uvloop
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from headrace.event_loop import mend_sends
from tests.harness import KafkaForTests

pytestmark = pytest.mark.integration


def test_a_write_to_a_connection_that_has_just_broken_is_what_aiokafka_expects(kafka: KafkaForTests) -> None:
    async def breaks() -> None:
        client = AIOKafkaClient(bootstrap_servers=kafka.bootstrap_servers)
        await client.bootstrap()
        try:
            connection = await client._get_conn(client.get_random_node())
            closed = connection._closed_fut
            connection._writer.transport.abort()
            await closed
            assert connection._writer is not None  # aiokafka hears of it in the next turn of the loop
            with pytest.raises(KafkaConnectionError, match="the handler is closed"):
                await connection.send(MetadataRequest([]))
            assert not connection.connected()
            assert await client.force_metadata_update()
        finally:
            await client.close()

    mend_sends()
    uvloop.run(breaks())
