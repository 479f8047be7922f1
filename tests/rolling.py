"""A deployment: every ingest and every worker is replaced, one after another, with SIGTERM alone, under load."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from aiokafka import TopicPartition

from tests.fleet import Fleet
from tests.harness import HeadraceProcess
from tests.ledger import Ledger, System, while_loading

# Of the answers, the share that may be 503: an ingest that stops refuses nothing, but one may be alone for a moment.
UNAVAILABLE_SHARE_MAX = 0.01
# Rows that were written late, of events that were accepted before the stop.
ROWS_LATE_MAX = 300


@dataclass
class Restart:
    """What one restarted worker read of the table's changelog, and what there was to read."""

    worker: str
    rows_read: int
    rows_in_all: int
    accepted_meanwhile: int


@dataclass
class Rolled:
    """The figures of a deployment."""

    ledger: Ledger
    rate: float = 0.0
    ingests: int = 0
    restarts: list[Restart] = field(default_factory=list)

    def assert_tables_were_kept(self) -> None:
        """Check that no restarted worker read the whole changelog: what it had kept, it kept."""
        for restart in self.restarts:
            # A worker may come back to partitions that were the other's, and reads those anew: about half of all rows.
            assert restart.rows_read <= max(0.7 * restart.rows_in_all, restart.accepted_meanwhile + ROWS_LATE_MAX), (
                restart
            )
            assert restart.rows_in_all > 2 * ROWS_LATE_MAX, restart  # else the above says nothing

    def report(self) -> None:
        self.ledger.report(f"{self.ingests} ingests and {len(self.restarts)} workers replaced at {self.rate:.0f}/s")
        for restart in self.restarts:
            print(f"  {restart}")


async def roll(
    system: System,
    start: Callable[..., HeadraceProcess],
    *,
    rate: float,
    connections: int,
    before: int,
    rounds: int = 1,
    at_least_s: float = 0.0,
    settled_s_max: float = 120.0,
) -> Rolled:
    """Replace two ingests behind the proxy and two workers, so many rounds and for so long; nothing may show.

    Args:
        before: events that are accepted before the first replacement, so that the table holds something.
        settled_s_max: for how long a backlog may be worked off afterwards.
    """
    fleet, ledger = Fleet(system, start), Ledger(system)
    rolled = Rolled(ledger)
    try:
        ingests = [await fleet.ingest(), await fleet.ingest()]
        await fleet.start_proxy()
        workers = {"w1": await system.worker("w1"), "w2": await system.worker("w2")}

        async def moves() -> None:
            began_s, done = time.monotonic(), 0
            await ledger.advanced(before * len(system.destinations), 120)
            while done < rounds or time.monotonic() - began_s < at_least_s:
                for place, ingest in enumerate(ingests):
                    ingests[place] = await fleet.replace(ingest)
                    rolled.ingests += 1
                    await ledger.advanced()
                for name in workers:
                    rolled.restarts.append(await _replace(system, ledger, workers, name))
                    await ledger.advanced()
                done += 1
            rolled.rate = len(ledger.accepted) / (time.monotonic() - began_s)

        await while_loading(ledger, moves, connections=connections, rate=rate, steady=True)
        await ledger.assert_all_settled(settled_s_max)
        rolled.report()
        assert ledger.repeated() == 0, await ledger.explain(set(ledger.repeats()))
        assert ledger.unanswered == 0
        assert set(ledger.answers) <= {200, 503}
        assert ledger.answers[503] <= UNAVAILABLE_SHARE_MAX * ledger.answers[200]
        await ledger.assert_a_restart_repeats_nothing(list(workers.values()))
    finally:
        await fleet.stop()
    return rolled


async def _replace(system: System, ledger: Ledger, workers: dict[str, HeadraceProcess], name: str) -> Restart:
    accepted = len(ledger.accepted)
    assert await workers[name].terminate(60) == 0, workers[name].tail()
    workers[name] = await system.worker(name)
    meanwhile = len(ledger.accepted) - accepted
    read = recovered_rows((await system.admin(workers[name], "/metrics"))[1])
    return Restart(name, read, await changelog_rows(system), meanwhile)


def recovered_rows(metrics: str) -> int:
    """Return how many rows of the changelog a worker has read, by its own count."""
    found = re.search(r"^headrace_table_recovered_records_total (\S+)$", metrics, re.MULTILINE)
    assert found, metrics[:500]
    return int(float(found[1]))


async def changelog_rows(system: System) -> int:
    """Return how many rows the changelog of the table ``seen`` holds."""
    parts = [TopicPartition(system.names.seen_changelog, n) for n in range(int(system.env["HEADRACE_PARTITIONS"]))]
    consumer = system.settings.consumer()
    await consumer.start()
    try:
        begins, ends = await asyncio.gather(consumer.beginning_offsets(parts), consumer.end_offsets(parts))
    finally:
        await consumer.stop()
    return sum(ends[part] - begins[part] for part in parts)
