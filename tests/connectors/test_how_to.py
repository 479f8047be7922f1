"""The connector that docs/how-to/add-a-connector.md shows works as it stands there."""

import re
import sys
from pathlib import Path

import connectors.actions
from connectors.registry import connector_names, load_connector
from headrace.config import load_routing_table
from ops.connector_pages.docstring import read_docstring
from ops.connector_pages.page import page_of

ORDERS = "{scheme: hmac, secret_env: ORDERS_SECRET}"
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "add-a-connector.md"


async def test_the_example_of_the_page_works(tmp_path, monkeypatch, service, open_destination):
    source, example = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "ntfy.py").write_text(source)
    monkeypatch.setattr(connectors.actions, "__path__", [*connectors.actions.__path__, str(tmp_path)])
    assert "ntfy" in connector_names()
    given = {}
    exec(example, given)
    ntfy = load_connector("ntfy")
    parameters = given["PARAMETERS"]["publish"]
    assert ntfy.actions["publish"].check({**parameters, "priority": 9})[0].path == ("priority",)
    keys = given["settings"](service.base_url, tmp_path)
    destination = await open_destination(ntfy, keys, secrets=given["SECRETS"])

    async def go():
        pass

    example = read_docstring(sys.modules["connectors.actions.ntfy"].__doc__).example
    (tmp_path / "headrace.yaml").write_text(f"version: 1\nsources: {{orders: {ORDERS}}}\n{example}")
    assert list(load_routing_table(tmp_path / "headrace.yaml").destinations) == ["phones"]
    page = page_of(ntfy)
    assert "# `ntfy`" in page
    assert "| `priority` | whole number | `3` |" in page
    await destination.call("publish", parameters, idempotency_key="5f" * 32, before_attempt=go)
    (request,) = service.received
    assert request.header("authorization") == "Bearer tk-1234567890"
    assert request.body == b'{"topic":"orders","message":"A new order","priority":3}'
