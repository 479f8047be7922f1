"""What the tests that cause alerts share: a watch over processes, and posts that may be refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.harness import HeadraceProcess, github_headers
from tests.ledger import SECRET, Ledger, System
from tests.ops.fired import Watch
from tests.ops.monitoring import monitored, scaled_rules

FACTOR = 60  # what times are divided by, where nothing else is said: 5 minutes are 5 seconds
BY_TEST = {
    "destinations": {
        "DeadLetters warning",
        "CircuitOpen warning",
        "DestinationPaused page",
        "DestinationPaused warning",
        "QueueStuck page",
        "QueueGrowing warning",
        "CapacityHigh warning",
        "CapacityPredicted warning",
        "DeliveryErrorBudgetBurn page",
        "SignaturesRefused warning",
        "Aftermath info",
    },
    "kafka": {
        "KafkaDown page",
        "KafkaBrokerMissing warning",
        "IngestNotReady page",
        "IngestErrorBudgetBurn page",
        "WorkerNotReady page",
    },
    "processes": {"TargetDown warning", "Absent page", "Restarting warning", "TableRecoverySlow warning"},
    "disk": {"DiskFilling page", "DiskFilling warning"},
    "sources": {"SourceSilent warning", "ReloadRefused warning"},
    "spool": {"SpoolFilling page"},
    "replicas": {"KafkaUnderReplicated page", "KafkaUnderReplicated warning", "SpoolNotDraining warning"},
    "rebalances": {"Rebalancing warning"},
    "commits": {"CommitsFailing warning"},
}


def job_ports(
    system: System, *, ingest: Sequence[HeadraceProcess] = (), workers: Sequence[HeadraceProcess] = ()
) -> Mapping[str, list[int]]:
    """Return the admin ports of each job."""
    return {
        "headrace-ingest": [system.admin_ports[one.pid] for one in ingest],
        "headrace-worker": [system.admin_ports[one.pid] for one in workers],
    }


@asynccontextmanager
async def watched(
    directory: Path, ports: Mapping[str, Sequence[int]], *, factor: float = FACTOR, past: str = ""
) -> AsyncIterator[Watch]:
    """Give a watch over processes that run, with all times of the rules divided by ``factor``."""
    rule_file = scaled_rules(factor)
    async with monitored(directory, lambda: ports, rule_file=rule_file, past=past) as (prometheus, alertmanager):
        yield Watch(prometheus, alertmanager)


@asynccontextmanager
async def going_on(work: Callable[[], Awaitable[object]], *, every_s: float) -> AsyncIterator[None]:
    """Do something again and again meanwhile."""

    async def again() -> None:
        while True:
            with suppress(OSError):
                await work()
            await asyncio.sleep(every_s)

    task = asyncio.create_task(again())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def post_forged(ledger: Ledger) -> None:
    """Post an event whose signature is wrong."""
    headers = github_headers(b"{}", SECRET + "x", "id")
    async with ledger.session() as session, session.post(ledger.system.url, data=b"{}", headers=headers) as answer:
        assert answer.status == 401


async def post_anyway(ledger: Ledger, count: int = 5) -> None:
    """Post valid events, whatever is answered."""
    body = b'{"n":1}'
    async with ledger.session() as session:

        async def post(number: int) -> None:
            headers = github_headers(body, SECRET, f"{asyncio.get_running_loop().time()}-{number}")
            async with session.post(ledger.system.url, data=body, headers=headers) as answer:
                await answer.read()

        await asyncio.gather(*(post(number) for number in range(count)))
