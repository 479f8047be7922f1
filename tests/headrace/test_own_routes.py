"""Who is told of Headrace's own events: the lines of ``headrace check``, and the page that explains the types."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from headrace.config import load_routing_table
from headrace.own_routes import describe_own_routes, own_route_warnings
from headrace.rehearsal import rehearse
from headrace.sample import sample_own_event
from streams.event import OWN_TYPES
from tests.secure_kafka import NEEDED

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "reference/own-events.md"

TABLE = """\
version: 1
sources: {orders: {scheme: hmac, secret_env: X}}
destinations:
  slack: {connector: http, base_url: "https://slack.example.com"}
  crm: {connector: http, base_url: "https://crm.example.com"}
  console: {connector: log}
routes:
  - {name: all, source: orders, to: crm, action: request}
"""
TOLD = "  - {name: tell-%s, source: headrace, to: %s, action: %s}\n"


@pytest.mark.parametrize(
    ("told", "line", "warned"),
    [
        ((), None, False),
        (("slack",), "tell-slack → slack", True),
        (("slack", "crm"), "tell-slack → slack, tell-crm → crm", False),
        (("console",), "tell-console → console", False),  # it calls nobody
    ],
)
def test_check_says_who_is_told_and_whose_trouble_is_told_to_nobody(
    tmp_path: Path, told: tuple[str, ...], line: str | None, warned: bool
) -> None:
    path = tmp_path / "headrace.yaml"
    actions = {"console": "write, with: {message: m}"}
    path.write_text(TABLE + "".join(TOLD % (name, name, actions.get(name, "request")) for name in told))
    table = load_routing_table(path)
    assert describe_own_routes(table) == ([f"Headrace's own events go to: {line}"] if line else [])
    assert [warning.key for warning in own_route_warnings(table)] == ["destinations.slack"] * warned


def test_the_page_has_every_type_and_its_samples_go_through_the_example_table() -> None:
    text = PAGE.read_text()
    samples = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]
    assert {sample["type"] for sample in samples} == set(OWN_TYPES)
    assert all(f"**`{type_}`**" in text for type_ in OWN_TYPES)
    table = load_routing_table(DOCS.parent / "headrace.yaml")
    for sample in samples:
        event = sample_own_event(json.dumps(sample).encode(), event_type=None, now_ms=0).event
        takes = [str(row) for row in rehearse(table, event, secrets=()) if "own-events-to-console" in str(row)]
        assert sample["summary"] in takes[0]


def test_the_page_on_kafka_grants_what_the_secure_broker_of_the_tests_grants() -> None:
    text = (DOCS / "how-to/use-your-own-kafka.md").read_text()
    rows = dict(re.findall(r"^\| `(Topic|Group)` \| (.*) \|$", text, re.MULTILINE))
    assert {kind: tuple(re.findall(r"`(\w+)`", granted)) for kind, granted in rows.items()} == NEEDED
