"""The metrics are right over several processes, and while the worker is down."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.harness import HeadraceProcess, eventually, github_headers
from tests.ledger import SECRET, Ledger, MakeSystem, System

pytestmark = pytest.mark.integration

PROCESSES, CONNECTIONS = 2, 24


async def samples(system: System, process: HeadraceProcess) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return every sample of a process's page; one name and labels come once."""
    status, text = await system.admin(process, "/metrics")
    assert status == 200
    found = [
        ((sample.name, frozenset(sample.labels.items())), sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]
    assert len(dict(found)) == len(found), "a series is there twice"
    return dict(found)


def labelled(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


async def post_one(system: System, kind: str, n: int) -> None:
    """Post over a connection of its own, so that the kernel gives the posts to all processes."""
    body = b"{" if kind == "malformed" else json.dumps({"n": n}).encode()
    headers = github_headers(body, SECRET + ("x" if kind == "invalid_signature" else ""), uuid.uuid4().hex)
    url = system.url.replace("github", "nobody") if kind == "unknown_source" else system.url
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
        await answer.read()


async def test_counters_of_several_ingest_processes_add_up_exactly(make_system: MakeSystem) -> None:
    system = make_system(destinations={"a": {}})
    ingest = await system.start_ingest(processes=PROCESSES)
    wanted = Counter(accepted=60, malformed=11, invalid_signature=17, unknown_source=5)
    free = asyncio.Semaphore(CONNECTIONS)

    async def post(kind: str, n: int) -> None:
        async with free:
            await post_one(system, kind, n)

    async def none_in_flight() -> bool:  # a sample of a moment ago
        return (await samples(system, ingest))[labelled("headrace_ingest_in_flight")] == 0

    for times in (1, 2):
        await asyncio.gather(*(post(kind, n) for n, kind in enumerate(wanted.elements())))
        found = await samples(system, ingest)
        for kind, count in wanted.items():
            source = "" if kind == "unknown_source" else "github"
            key = labelled("headrace_ingest_requests_total", source=source, outcome=kind)
            assert found[key] == times * count, kind
        to_github = times * (wanted.total() - wanted["unknown_source"])
        assert found[labelled("headrace_ingest_request_seconds_count", source="github")] == to_github
        assert found[labelled("headrace_ingest_request_seconds_bucket", source="github", le="+Inf")] == to_github
        assert found[labelled("headrace_ingest_ready")] == PROCESSES
    await eventually(none_in_flight, 30, 0.2)


async def test_the_depth_of_a_queue_is_right_while_the_worker_is_down(make_system: MakeSystem) -> None:
    system = make_system(destinations={"a": {}})
    ingest, worker = await system.start_ingest(), await system.worker()
    ledger = Ledger(system)
    await ledger.post_all(10)
    await system.idle()
    queue = labelled("headrace_queue_depth", topic=system.names.events("github"))

    async def is_deep(depth: int) -> bool:
        found = await samples(system, ingest)
        assert found.get(queue) == depth
        return True

    await eventually(lambda: is_deep(0), 60, 0.2)
    worker.kill()
    await ledger.post_all(37)
    await eventually(lambda: is_deep(37), 60, 0.2)
    await ledger.post_all(5)
    await eventually(lambda: is_deep(42), 60, 0.2)
    again = await system.worker()
    await eventually(lambda: is_deep(0), 60, 0.2)
    assert (await samples(system, again)).get(queue) is not None, "the worker says it too"
    await ledger.assert_all_settled()
