"""A body at its limit goes all the way: accepted, fanned out, delivered, retried, dead-lettered, replayed."""

from __future__ import annotations

import json
import secrets

import pytest

from tests.harness import Answer, eventually, github_headers
from tests.ledger import SECRET, Ledger, MakeSystem

BODY_BYTES_MAX = 3 * 1024 * 1024  # larger than Kafka's default for a record, and than a consumer's usual fetch


def body_of(size: int) -> bytes:
    """Return JSON of exactly ``size`` bytes that hardly compresses."""
    head = b'{"n": 1, "filler": "'
    return head + secrets.token_urlsafe(size).encode()[: size - len(head) - 2] + b'"}'


@pytest.mark.parametrize("compression", ["none", "lz4"])
async def test_a_body_at_the_limit_becomes_a_dead_letter_and_is_replayed(
    make_system: MakeSystem, compression: str
) -> None:
    system = make_system(
        destinations={"a": {"retry": {"attempts": 1}, "delays_s": [1]}},
        partitions=1,
        json_body={"filler": "{{ body.filler }}"},
    )
    system.table["sources"]["github"]["body_bytes_max"] = BODY_BYTES_MAX
    system.write_table()
    system.env["HEADRACE_COMPRESSION"] = compression
    system.receiver.answers["/a"] = lambda call, earlier: Answer((503, 422)[min(earlier, 1)])
    ledger = Ledger(system)
    await system.start_ingest()
    await system.worker()
    body = body_of(BODY_BYTES_MAX)
    async with ledger.session() as session:
        await ledger.post(session, "largest", body=body)
        too_large = body_of(BODY_BYTES_MAX + 1)
        headers = github_headers(too_large, SECRET, "larger")
        async with session.post(system.url, data=too_large, headers=headers) as answer:
            assert answer.status == 413
    (letter,) = await eventually(system.letters, 60)
    assert letter.failure.status == 422
    shown = await system.command("dlq", "show", letter.id, "--body", "--json")
    assert json.loads(shown)["body"].encode() == body
    system.receiver.answers["/a"] = Answer(200)
    assert "1 replayed" in await system.command("dlq", "replay", "--yes")
    await system.idle()
    assert await system.letters() == []
    assert system.receiver.calls("/a")[-1].json == {"filler": json.loads(body)["filler"]}
    assert ledger.missing() == set()
