"""Yesterday's records, commits and tables under today's code: nothing is lost, and nothing is done a second time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.harness import eventually
from tests.ledger import Ledger, MakeSystem
from tests.yesterday import BODY, DESTINATIONS, restore

YESTERDAYS = sorted((Path(__file__).parents[1] / "fixtures").glob("yesterday-*"))


def test_there_is_a_yesterday() -> None:
    assert YESTERDAYS


@pytest.mark.parametrize("tables", [True, False], ids=["with its tables", "its disk lost"])
@pytest.mark.parametrize("yesterday", YESTERDAYS, ids=lambda path: path.name)
async def test_today_goes_on_where_yesterday_stopped(make_system: MakeSystem, yesterday: Path, tables: bool) -> None:
    system = make_system(destinations=DESTINATIONS, partitions=1)
    receipts = await restore(system, yesterday, tables=tables)
    ledger = Ledger(system)
    ingest, worker = await system.start_ingest(), await system.worker()
    # What waited in a retry topic is carried out; what had settled is not, and a paused destination stays paused.
    await eventually(lambda: len(system.receiver.calls("/a/waiting")) == 1, 60)
    (letter,) = await system.letters()
    assert (letter.header("ce_id"), letter.failure.status) == ("dead", 422)
    shown = json.loads(await system.command("event", receipts["settled"], "--body", "--json"))
    assert shown["body"].encode() == BODY
    assert {row["destination"]: row["outcome"] for row in shown["deliveries"]}["a"] == "settled"
    # The ids are remembered: from the tables, or, where their disk was lost, from the changelog.
    async with ledger.session() as session:
        for event_id in ("settled", "dead", "waiting", "new"):
            await ledger.post(session, event_id, body=BODY)
    await eventually(lambda: len(system.receiver.calls("/a/new")) == 1, 60)
    assert "1 replayed" in await system.command("dlq", "replay", "--yes")
    await eventually(lambda: len(system.receiver.calls("/a/dead")) == 1, 60)
    assert system.receiver.calls("/b") == []
    await system.command("resume", "b")
    await system.idle()
    assert await system.letters() == []
    calls = {f"/{where}/{what}": 1 for where in "ab" for what in ("settled", "dead", "waiting", "new")}
    del calls["/a/settled"]  # as said: it was yesterday
    assert dict(ledger.calls()) == calls
    assert (await ingest.terminate(60), await worker.terminate(60)) == (0, 0)
