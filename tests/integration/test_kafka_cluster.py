"""Three brokers: one is killed with -9 and loses its disk under load; and what is answered with too few in sync."""

from __future__ import annotations

import uuid

import pytest

from streams.topics import TopicNames
from tests import ledger_moves as moves
from tests.harness import eventually, github_headers
from tests.kafka_cluster import KafkaCluster
from tests.ledger import SECRET, Ledger, MakeSystem


@pytest.mark.timeout(300)
async def test_one_of_three_brokers_loses_its_disk_and_nothing_is_lost(
    make_system: MakeSystem, kafka_cluster: KafkaCluster
) -> None:
    system = make_system(kafka_cluster, destinations={"a": {}}, partitions=2)
    ledger = await moves.lose_a_disk(system, kafka_cluster, losses=1, per_move=200)
    assert "0 created" in await system.command("topics")
    assert ledger.repeated() <= 50  # what a commit that timed out with its coordinator left to be called again


@pytest.mark.timeout(300)
async def test_an_event_that_too_few_replicas_have_is_answered_503(
    make_system: MakeSystem, kafka_cluster: KafkaCluster
) -> None:
    system = make_system(kafka_cluster, destinations={"a": {}}, partitions=1)
    system.env |= {"HEADRACE_REPLICATION_FACTOR": "3", "HEADRACE_MIN_INSYNC_REPLICAS": "3"}
    await system.command("topics")
    await system.start_ingest()
    ledger = Ledger(system)
    await ledger.post_all(5, connections=1)
    assert dict(ledger.answers) == {200: 5}
    kafka_cluster.nodes[2].kill()
    topic = TopicNames(system.settings.topic_prefix).events("github")
    await eventually(lambda: moves.fewer_in_sync(kafka_cluster, [topic]), 60, 0.2)
    body, event_id = b'{"n": 0}', uuid.uuid4().hex
    async with (
        ledger.session() as session,
        session.post(system.url, data=body, headers=github_headers(body, SECRET, event_id)) as answer,
    ):
        assert (answer.status, (await answer.json())["error"]) == (503, "unavailable")
        assert int(answer.headers["Retry-After"]) >= 1
    await kafka_cluster.nodes[2].start(120)
    await kafka_cluster.whole([topic])
    await ledger.post_all(5, connections=1)
    assert len(ledger.accepted) == 10
