"""The pages about connectors are what the code makes, and what they show works as it stands there."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from connectors.registry import connector_names, load_connector
from headrace.cli import main
from ops.connector_pages.__main__ import differences, rendered
from ops.connector_pages.docstring import read_docstring
from ops.connector_pages.page import about

SOURCE = 'version: 1\nsources:\n  orders: {scheme: hmac, secret_env: ORDERS_SECRET, event_id: "{{ body.id }}"}\n'


def test_the_pages_are_what_the_code_makes() -> None:
    assert differences() == []


def test_a_page_that_was_changed_missing_or_made_by_nothing_is_named(tmp_path: Path) -> None:
    for path, text in rendered().items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    assert differences(tmp_path) == []
    (tmp_path / "connectors" / "slack.md").write_text("changed")
    (tmp_path / "connectors" / "made-up.md").write_text("by nobody")
    (tmp_path / "reference" / "retries.md").unlink()
    assert differences(tmp_path) == ["connectors/made-up.md", "connectors/slack.md", "reference/retries.md"]


@pytest.mark.parametrize("name", connector_names())
def test_the_example_of_each_page_passes_headrace_check(name: str, tmp_path: Path) -> None:
    example = about(load_connector(name)).example
    assert f"connector: {name}" in example
    assert f"```yaml\n{example}\n```" in rendered()[f"connectors/{name}.md"]
    table = tmp_path / "headrace.yaml"
    table.write_text(SOURCE + example)
    result = CliRunner().invoke(main, ["check", "--config", str(table)])
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize("name", connector_names())
def test_each_page_tells_source_guarantee_and_errors(name: str) -> None:
    connector = load_connector(name)
    assert name in ("http", "log", "python") or about(connector).source
    for action in connector.actions.values():
        said = read_docstring(action.doc)
        returns = action.call.__annotations__["return"]
        assert bool(said.returns) == (returns != "None"), action.name
        assert name == "log" or {"PermanentError", "TransientError"} <= set(said.raises), action.name
