"""The commands of how-to pages, run as they are printed, on one system that is at work.

What differs from the page is said beside it: an id, a port, and ``--yes`` where a page lets a person answer. Pages
whose commands need other machines (compose, systemd, a cluster of one's own) are checked by
tests/docs/test_commands.py alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartHeadrace
from tests.docs.blocks import blocks_of
from tests.docs.newcomer import Newcomer
from tests.harness import Answer, Receiver, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

TABLE = """\
version: 1
ingest: {{spool: true}}
sources:
  shop: {{scheme: hmac, secret_env: SHOP_SECRET, event_id: "{{{{ body.id }}}}"}}
  github: {{scheme: github, secret_env: GITHUB_SECRET}}
  stripe: {{scheme: stripe, secret_env: STRIPE_SECRET}}
destinations:
  mail: {{connector: http, base_url: "{url}/mail", retry: {{attempts: 1}}, delays_s: []}}
  crm: {{connector: http, base_url: "{url}/crm", retry: {{attempts: 1}}, delays_s: []}}
routes:
  - {{name: newsletter, source: shop, when: body.kind == "news", to: mail, action: request}}
  - {{name: orders-to-crm, source: shop, when: body.kind == "order", to: crm, action: request}}
  - {{name: github-to-crm, source: github, to: crm, action: request, with: {{path: /github}}}}
  - {{name: stripe-to-crm, source: stripe, to: crm, action: request, with: {{path: /stripe}}}}
  - {{name: digest-to-crm, source: schedules, to: crm, action: request, with: {{path: /digest}}}}
schedules:
  - {{name: weekly-digest, cron: "0 9 * * 1", timezone: Europe/Berlin, body: {{kind: digest}}}}
"""


class Reader(Newcomer):
    """One who follows the pages."""

    def follows(self, page: str, number: int = 0, *, instead: Mapping[str, str] | None = None) -> str:
        """Run a script of a page, with what is put ``instead`` of a part of it; each must be there."""
        script = blocks_of(page, "sh")[number].text
        for old, new in (instead or {}).items():
            assert old in script, (page, old)
            script = script.replace(old, new)
        return self.types(script)

    def sends(self, source: str, **body: Any) -> str:
        """Post one event; return its receipt."""
        return self.types(f"echo '{json.dumps(body)}' | headrace send {source} -").strip()

    def outcomes(self, *address: str) -> list[dict[str, Any]]:
        """Return what became of the deliveries of an event, as `headrace event` says it."""
        shown = self.types(f"headrace event {' '.join(address)} --json").splitlines()
        return [delivery for line in shown for delivery in json.loads(line)["deliveries"]]

    def settles(self, *address: str, outcome: str = "settled") -> None:
        """Wait until each delivery of an event has an outcome, and the one that is expected."""
        wait_until(lambda: {one["outcome"] for one in self.outcomes(*address)} == {outcome}, 60)

    def letters(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.types("headrace dlq list --json").splitlines()]


def test_the_pages_work_on_a_running_system(
    tmp_path: Path, headrace_process: StartHeadrace, receiver: Receiver
) -> None:
    reader = Reader(tmp_path, headrace_process, TABLE.format(url=receiver.url))
    replays_dead_letters(reader, receiver)
    cancels_what_waits(reader, receiver)
    makes_events_on_a_schedule(reader)
    erases_a_customer(reader)
    finds_what_is_wrong(reader)
    counts_the_cost(reader)
    survives_an_outage(reader, receiver)


def replays_dead_letters(reader: Reader, receiver: Receiver) -> None:
    page = "how-to/replay-dead-letters.md"
    receiver.answers["/crm"] = Answer(422)
    for name in ("o-1", "o-2", "o-3"):
        reader.sends("shop", id=name, kind="order")
    wait_until(lambda: len(reader.letters()) == 3, 60)
    first, *_ = reader.letters()
    shown = reader.follows(page, instead={"7f3a91": first["id"][:8]})
    assert "3 outstanding" in shown
    assert f"id:            {first['id']}" in shown
    receiver.answers.clear()
    replayed = reader.follows(
        page,
        1,
        instead={
            "--destination crm  ": "--destination crm --limit 1 --yes",  # asks
            "make replay-dlq ARGS=": "sh -c 'exec headrace dlq replay $0' ",  # as the Makefile does
        },
    )
    assert "would replay 3; nothing was done" in replayed
    assert "1 replayed" in replayed
    assert "2 replayed" in replayed
    wait_until(lambda: not reader.letters(), 60)
    assert "there are no outstanding dead letters" in reader.types("headrace dlq list")
    ended = reader.follows(page, 2)
    assert ended.count("no outstanding dead letter is selected") == 2


def cancels_what_waits(reader: Reader, receiver: Receiver) -> None:
    page = "how-to/cancel-waiting-deliveries.md"
    reader.types("headrace pause mail")
    for name in ("n-1", "n-2"):
        reader.sends("shop", id=name, kind="news")
    wait_until(lambda: "2 wait for mail" in reader.types("headrace queue mail list"), 60)
    done = reader.follows(page, instead={'--reason "sent by hand" ': '--reason "sent by hand" --yes'})
    assert "would cancel 2; nothing was done" in done
    assert "2 cancelled" in done
    reader.settles("shop", "n-1", outcome="skipped")
    assert reader.outcomes("shop", "n-2")[0]["detail"] == "cancelled: sent by hand"
    assert not receiver.calls("/mail")


def makes_events_on_a_schedule(reader: Reader) -> None:
    listed, receipt = reader.follows("how-to/schedule-events.md").strip().rsplit("\n", 1)
    assert "weekly-digest  0 9 * * 1  Mon " in listed
    reader.settles(receipt)


def erases_a_customer(reader: Reader) -> None:
    receipt = reader.sends("stripe", id="evt_1", type="invoice.paid", data={"object": {"customer": "cus_123"}})
    reader.settles(receipt)
    said, report = reader.follows("how-to/erase-events.md").strip().rsplit("\n", 1)
    assert said.startswith("found 1 event, 0 dead letters and 1 outcome; nothing was erased")
    assert json.loads(report)["erased"] == 1
    assert [one["outcome"] for one in reader.outcomes(receipt)] == ["not known"]


def finds_what_is_wrong(reader: Reader) -> None:
    ports = {"--admin-port 8081": f"--admin-port {reader.admin_port}", "8090": f"{reader.admin_port + 1}"}
    said = reader.follows("how-to/find-what-is-wrong.md", instead=ports)
    assert f"ok       admin_port: the part on admin port {reader.admin_port + 1} is ready" in said
    assert "error" not in {line.split()[0] for line in said.splitlines()}


def counts_the_cost(reader: Reader) -> None:
    said = reader.follows("how-to/what-it-costs.md")
    for row in ("ROUTE TASKS", "orders-to-crm 3", "digest-to-crm 1", "server a month $24.50"):
        assert row in (" ".join(line.split()) for line in said.splitlines()), said


def survives_an_outage(reader: Reader, receiver: Receiver) -> None:
    said = reader.follows("how-to/survive-a-kafka-outage.md", 0, instead={"headrace run &": ": it runs"})
    assert said.startswith("in the spool until Kafka is back: ")
    event_id = said.strip().rpartition(" ")[2]
    wait_until(lambda: any(call.key for call in receiver.calls("/crm/github")), 90)
    reader.settles("github", event_id)
