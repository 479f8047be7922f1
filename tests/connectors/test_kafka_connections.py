"""The hook in aiokafka's client: one client has it and no other, and without its place nothing goes on."""

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, SaslAuthenticationFailed

from connectors.addresses import AddressRefused
from connectors.errors import CredentialsRefused, Unreachable
from connectors.kafka_connections import Connections, use
from tests.receiver import free_port


async def test_one_client_connects_by_it_and_no_other():
    asked = []

    async def connect(host, port, **options):
        asked.append((host, port))
        raise OSError

    address = f"127.0.0.1:{free_port()}"
    mine, other = AIOKafkaClient(bootstrap_servers=[address]), AIOKafkaClient(bootstrap_servers=[address])
    use(mine, connect)
    for client in (mine, other):
        with pytest.raises(KafkaConnectionError):
            await client.bootstrap()
        await client.close()
    assert [f"{host}:{port}" for host, port in asked] == [address]


async def test_a_client_that_connects_in_another_way_is_not_used():
    class Changed(AIOKafkaClient):
        async def _get_conn(self, node_id, **options):
            return None

    client = Changed(bootstrap_servers=["127.0.0.1:1"])
    with pytest.raises(RuntimeError, match="create_conn in _get_conn"):
        use(client, None)


async def test_what_keeps_us_from_a_broker_is_known():
    connections = Connections(["kafka.example"], allow_private=False)
    assert connections.refusal() is None
    with pytest.raises(AddressRefused):
        await connections.connect("localhost", free_port())
    assert type(connections.refusal()) is Unreachable
    connections._failures["b", 1] = SaslAuthenticationFailed()
    assert type(connections.refusal()) is CredentialsRefused  # a person has to change it


async def test_a_broker_that_is_away_is_no_refusal():
    connections = Connections(["127.0.0.1"], allow_private=False)
    with pytest.raises(ConnectionRefusedError):
        await connections.connect("127.0.0.1", free_port())
    assert connections.refusal() is None


@pytest.mark.parametrize(("host", "written"), [("127.1", True), ("KAFKA.example", True), ("10.0.0.1", False)])
def test_a_host_is_the_operators_however_it_is_spelled(host, written):
    assert Connections(["127.0.0.1", "kafka.example"], allow_private=False)._is_written(host) is written
