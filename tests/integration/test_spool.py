"""The spool in real processes: Kafka is frozen or killed, ingest is killed, and all that got 200 is delivered."""

from __future__ import annotations

import pytest

from tests import ledger_moves as moves
from tests.harness import KafkaForTests
from tests.ledger import MakeSystem


@pytest.mark.parametrize(("freeze", "processes"), [(True, 1), (False, 2)], ids=["frozen", "killed"])
async def test_an_outage_of_kafka_loses_nothing_though_ingest_is_killed(
    make_system: MakeSystem, own_kafka: KafkaForTests, freeze: bool, processes: int
) -> None:
    system = make_system(own_kafka, destinations={"a": {}})
    await moves.spool_through_an_outage(
        system, freeze=freeze, away_s=8, rate=150, kill_ingest=True, processes=processes
    )  # fmt: skip
