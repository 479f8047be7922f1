"""One event's lines from the POST to the call, the level changed by signal, and nothing in them that is secret."""

from __future__ import annotations

import signal

from tests.harness import Answer, HeadraceProcess, eventually
from tests.ledger import SECRET, Ledger, MakeSystem

MARK = "body-that-is-nobodys-business"


def lines_of(event_id: str, *processes: HeadraceProcess) -> list[dict[str, object]]:
    return [line for process in processes for line in process.logs() if line.get("event_id") == event_id]


async def test_the_ids_lead_from_the_post_to_the_call_at_debug_alone(make_system: MakeSystem) -> None:
    token = "t0ken-of-crm"
    system = make_system(
        destinations={"a": {"token_env": "CRM_TOKEN", "retry": {"attempts": 2, "backoff_s": [0.05, 0.1]}}}, partitions=1
    )
    system.env["CRM_TOKEN"] = token
    ledger = Ledger(system)
    ingest, worker = await system.start_ingest(processes=2), await system.worker()
    body = f'{{"n": 1, "note": "{MARK}"}}'.encode()
    async with ledger.session() as session:
        await ledger.post(session, "quiet", body=body)
        await ledger.assert_all_settled()
        assert lines_of("quiet", ingest, worker) == []
        for process in (ingest, worker):  # the parent of two tells both
            process.signal(signal.SIGUSR1)
        await eventually(lambda: len(ingest.logs("log_level_changed")) == 3 and worker.logs("log_level_changed"))
        system.receiver.answers["/a/told"] = lambda call, earlier: Answer(200 if earlier else 503)
        await ledger.post(session, "told", body=body)
        system.receiver.answers["/a/dead"] = Answer(422, body=b"no")
        await ledger.post(session, "dead", body=body)
        await ledger.assert_all_settled()
        for process in (ingest, worker):
            process.signal(signal.SIGUSR2)
        await eventually(lambda: len(ingest.logs("log_level_changed")) == 6)
        await eventually(lambda: len(worker.logs("log_level_changed")) == 2)
        await ledger.post(session, "quiet-again", body=body)
        await ledger.assert_all_settled()
    assert lines_of("quiet-again", ingest, worker) == []
    told = lines_of("told", ingest, worker)
    called = [line for line in told if line["logger"] in ("connectors", "deliver")]
    accepted, made, fanned_out = (line for line in told if line not in called)  # which ends while the call is made
    assert [line["event"] for line in (accepted, made, fanned_out)] == [
        "event_accepted",
        "delivery_made",
        "event_fanned_out",
    ]
    assert [line["event"] for line in called] == ["attempt_failed", "attempt_succeeded", "delivery_settled"]
    assert (made["route"], made["destination"], made["source"]) == ("to-a", "a", "github")
    assert [line["attempt"] for line in called] == [1, 2, 2]
    for line in called:
        assert line["delivery_id"] == made["delivery_id"]
        assert (line["route"], line["destination"], line["source"]) == ("to-a", "a", "github")
    (buried,) = worker.logs("delivery_dead_lettered")
    assert (buried["event_id"], buried["attempt"], buried["stage"]) == ("dead", 1, "call")
    everything = ingest.stderr + ingest.stdout + worker.stderr + worker.stdout
    for secret in (SECRET, token, MARK):
        assert secret not in everything
