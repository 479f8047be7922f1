"""The way that docs/how-to/change-partitions.md describes, under load: new topics beside the old, and nothing lost."""

from __future__ import annotations

from streams.topics import TopicNames
from tests.ledger import Ledger, MakeSystem, while_loading


async def test_topics_with_more_partitions_take_over_under_load(make_system: MakeSystem) -> None:
    system = make_system(destinations={"a": {}}, partitions=1)
    ledger = Ledger(system)
    old_ingest, old_worker = await system.start_ingest(), await system.worker("old")
    old_env, old_names, old_settings = dict(system.env), system.names, system.settings

    async def moves() -> None:
        await ledger.advanced(50)
        prefix = f"{old_settings.topic_prefix}v2-"
        system.settings = system.kafka.settings(prefix)
        system.names = TopicNames(prefix)
        system.env |= {"HEADRACE_PARTITIONS": "3", "HEADRACE_TOPIC_PREFIX": prefix}
        assert "created" in await system.command("topics")
        assert await old_ingest.terminate(60) == 0  # on one port: with two machines they overlap
        await system.start_ingest()
        await system.worker("new")
        await ledger.advanced(50)

    await while_loading(ledger, moves, rate=100)
    await system.idle()
    new_names, new_env, new_settings = system.names, system.env, system.settings
    system.names, system.env, system.settings = old_names, old_env, old_settings
    await system.idle()  # the old workers have emptied the old queues
    assert await system.letters() == []
    assert await old_worker.terminate(60) == 0
    system.names, system.env, system.settings = new_names, new_env, new_settings
    assert ledger.missing() == set()
    assert ledger.repeated() == 0
    partitions = {int(str(receipt).split("/")[1]) for receipt in ledger.accepted.values()}
    assert partitions == {0, 1, 2}
