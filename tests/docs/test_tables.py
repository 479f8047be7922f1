"""Every piece of a routing table in README and docs is one: `headrace check` takes it, once the rest is put around it.

A page shows the piece that it is about. What the piece refers to and does not have, a source or a destination, is put
beside it here, by its name; nothing in the piece itself is touched.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from headrace.cli import main
from headrace.document import read_document
from tests.docs.blocks import ROOT, Block, blocks

BLOCKS = [block for block in blocks("yaml") if "{…}" not in block.text]
SHAPE_ALONE = {"docs/reference/routing-table.md"}  # shows where each section stands, with {…} for what is in it
SECTIONS = {"version", "sources", "destinations", "routes", "schedules", "ingest", "tests"}
SOURCE = {"scheme": "hmac", "secret_env": "SOME_SECRET"}
DESTINATIONS: dict[str, dict[str, Any]] = {
    "crm": {"connector": "http", "base_url": "https://crm.example.com", "token_env": "CRM_TOKEN"},
    "stock": {"connector": "http", "base_url": "https://stock.example.com"},
    "mail": {"connector": "email", "host": "smtp.example.com", "sender": "shop@example.com"},
    "slack": {"connector": "slack", "token_env": "SLACK_TOKEN"},
}
OWN = {"headrace", "schedules"}  # sources that every table has


def table_around(piece: dict[str, Any]) -> dict[str, Any]:
    """Return a whole table with the piece in it; keys of a route alone become a route."""
    if not set(piece) <= SECTIONS:
        route = {"name": "some-route", "source": "stripe", "to": "crm", "action": "request", "with": {"path": "/"}}
        mirror = {"mirror": {"url_env": "HOOK_URL"}} if "mode" in piece else {}
        piece = {"routes": [{**route, **mirror, **piece}]}
    table = {"version": 1, **piece}
    routes = table.get("routes", [])
    named = {name for route in routes for name in _names(route["source"])} - OWN - {"*"}
    table["sources"] = {**dict.fromkeys(sorted(named), SOURCE), **table.get("sources", {})}
    wanted = {route["to"]: DESTINATIONS.get(route["to"]) for route in routes}
    table["destinations"] = {**wanted, **table.get("destinations", {})}
    assert None not in table["destinations"].values(), "a destination that DESTINATIONS does not have"
    return table


def _names(source: str | list[str]) -> list[str]:
    return [source] if isinstance(source, str) else source


def check(path: Path, *options: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["check", "--config", str(path), *options])
    return done.exit_code, done.output


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_piece_of_a_routing_table_is_one(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "piece.yaml"
    path.write_text(block.text)
    document, mistakes = read_document(path)
    piece = document.plain()
    assert isinstance(piece, dict)
    assert mistakes == []
    path.write_text(json.dumps(table_around(piece)))  # JSON is YAML, and reads back as it is
    code, output = check(path)
    assert code == 0, output


def test_what_is_left_out_is_the_shape_alone() -> None:
    left_out = [block for block in blocks("yaml") if block not in BLOCKS]
    assert {str(block.page.relative_to(ROOT)) for block in left_out} == SHAPE_ALONE
    assert len(BLOCKS) > 100


def test_a_mistake_would_be_found(tmp_path: Path) -> None:
    route = {"name": "a", "source": "stripe", "to": "crm", "action": "request", "with": {"pth": "/"}}
    path = tmp_path / "piece.yaml"
    path.write_text(json.dumps(table_around({"routes": [route]})))
    code, output = check(path)
    assert code == 2
    assert "pth" in output
