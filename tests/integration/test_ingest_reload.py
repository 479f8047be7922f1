"""SIGHUP under load: routing table and secrets change in every process, or in none, and no request is lost."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.conftest import StartHeadrace
from tests.harness import KafkaForTests, eventually, github_headers
from tests.integration.test_ingest import SECRET, TABLE, Ingest, children, start

NEW = "the new secret"
ROTATING = TABLE.replace("github, secret_env: GITHUB_WEBHOOK_SECRET", "github, secret_env: [NEW_SECRET, OLD_SECRET]")


async def statuses(ingest: Ingest, source: str, secret: str, count: int = 12) -> set[int]:
    """Return what posts on connections of their own are answered, so that they reach every process.

    A busy machine may be answered 503; such a post is sent again, as a provider would.
    """
    body = b'{"id": "1"}'

    async def one() -> int:
        url = f"http://127.0.0.1:{ingest.port}/webhook/{source}"
        while True:
            async with (
                aiohttp.ClientSession() as session,
                session.post(url, data=body, headers=github_headers(body, secret, os.urandom(8).hex())) as response,
            ):
                if response.status != 503:
                    return response.status

    return set(await asyncio.gather(*(one() for _ in range(count))))


async def reload(ingest: Ingest, table: str, event: str, *, times: int) -> None:
    """Write the table, send SIGHUP, and return when ``event`` was logged ``times`` times more."""
    before = len(ingest.process.logs(event))
    scratch = ingest.directory / "new.yaml"
    scratch.write_text(table)
    scratch.replace(ingest.directory / "headrace.yaml")
    ingest.process.signal(signal.SIGHUP)
    await eventually(lambda: len(ingest.process.logs(event)) >= before + times)


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_rotation_by_reloads_under_load_loses_nothing(
    kafka: KafkaForTests, headrace_process: StartHeadrace, tmp_path: Path, processes: int
) -> None:
    old_file, new_file = tmp_path / "old", tmp_path / "new"
    old_file.write_text(SECRET)
    new_file.write_text(NEW)
    environment = {"OLD_SECRET_FILE": str(old_file), "NEW_SECRET_FILE": str(new_file)}
    ingest = await start(
        kafka, headrace_process, tmp_path, "--ingest-processes", str(processes), environment=environment
    )
    ended = asyncio.Event()
    load = asyncio.create_task(ingest.load(ended, connections=8))
    await eventually(lambda: len(ingest.accepted) > 50)
    assert await statuses(ingest, "github", NEW) == {401}

    await reload(ingest, ROTATING, "reloaded", times=processes)
    assert await statuses(ingest, "github", NEW) == {200}
    assert await statuses(ingest, "github", SECRET) == {200}
    metrics = (await ingest.admin("/metrics"))[1]
    for position in ("1", "2"):
        assert f'headrace_ingest_secret_matches_total{{position="{position}",source="github"}}' in metrics

    for broken in ("nonsense: [", ROTATING.replace("scheme: hmac", "scheme: hmak"), ROTATING.replace("NEW_", "NO_")):
        await reload(ingest, broken, "reload_refused", times=1)
    assert "headrace_ingest_reload_refused 1.0" in (await ingest.admin("/metrics"))[1]
    assert await statuses(ingest, "github", NEW) == {200}

    added = ROTATING.replace("destinations:", "  extra: {scheme: github, secret_env: NEW_SECRET}\ndestinations:")
    assert await statuses(ingest, "extra", NEW) == {404}
    await reload(ingest, added, "reloaded", times=processes)
    assert await statuses(ingest, "extra", NEW) == {200}
    assert "headrace_ingest_reload_refused 0.0" in (await ingest.admin("/metrics"))[1]

    before = len(ingest.process.logs("reloaded"))
    for _ in range(5):  # as fast as it goes
        ingest.process.signal(signal.SIGHUP)
    await eventually(lambda: len(ingest.process.logs("reloaded")) >= before + processes)
    ended.set()
    await load
    assert set(ingest.answers) <= {200, 503}  # 503 where this machine is too busy; never 401, 404, or no answer
    assert ingest.unanswered == 0

    old_file.write_text("gone")  # the last step of a rotation: the old secret is of no more use
    await reload(ingest, added, "reloaded", times=processes)
    assert await statuses(ingest, "github", SECRET) == {401}
    assert await statuses(ingest, "github", NEW) == {200}
    await ingest.assert_nothing_accepted_is_lost()


async def test_a_process_that_died_starts_again_with_the_table_that_was_taken_over(
    kafka: KafkaForTests, headrace_process: StartHeadrace, tmp_path: Path
) -> None:
    ingest = await start(kafka, headrace_process, tmp_path, "--ingest-processes", "2")
    (tmp_path / "headrace.yaml").write_text("nonsense: [")
    first = children(ingest.process.pid)
    os.kill(first[0], signal.SIGKILL)
    await eventually(lambda: len(set(children(ingest.process.pid)) - {first[0]}) == 2)
    await eventually(ingest.ready)
    assert await statuses(ingest, "github", SECRET) == {200}
