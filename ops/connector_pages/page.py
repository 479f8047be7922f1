"""One page a connector, and the page that lists them."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from connectors.connector import Action, Connector
from connectors.settings import DestinationSettings
from ops.connector_pages.docstring import Said, markdown, read_docstring

MADE = "<!-- Made by `make connector-pages` from connectors/actions/{name}.py: change it there. -->"
GUARANTEE = re.compile(r"\b(exactly once|at least once|at most once|once although called at least once)\b")
KINDS = {
    "PermanentError": "dead letter",
    "TransientError": "tried again",
    "CredentialsRefused": "the destination pauses",
}


def about(connector: Connector) -> Said:
    """Return what the docstring of a connector's module says."""
    return read_docstring(importlib.import_module(f"connectors.actions.{connector.name}").__doc__)


def page_of(connector: Connector) -> str:
    """Return the page of one connector."""
    said = about(connector)
    parts = [MADE.format(name=connector.name), f"# `{connector.name}`", said.text]
    if connector.extra is not None:
        parts.append(f"Needs the extra `{connector.extra.name}`: `pip install 'headrace[{connector.extra.name}]'`.")
    parts += ["## Example", f"```yaml\n{said.example}\n```"]
    parts += ["## The destination", _settings(connector.settings_model)]
    for action in connector.actions.values():
        parts += [f"## Action `{action.name}`", *_action(action)]
    parts += ["## Answers", _answers(connector)]
    if said.source:
        parts.append(f"*Source: {said.source}*")
    return "\n\n".join(parts) + "\n"


def index_page(connectors: Iterable[Connector]) -> str:
    """Return the page that lists all connectors."""
    rows = []
    for connector in connectors:
        first = about(connector).text.split("\n\n")[0].replace("\n", " ")
        actions = ", ".join(f"`{name}`" for name in connector.actions)
        guarantees = dict.fromkeys(_guarantee(action) for action in connector.actions.values())
        rate = connector.settings_model.model_fields["rate"].default or "none"
        rows.append((f"[`{connector.name}`]({connector.name}.md)", first, actions, "; ".join(guarantees), rate))
    listed = table(("connector", "speaks to", "actions", "carried out", "default rate"), rows)
    return (
        "\n\n".join(
            [
                MADE.format(name="*"),
                "# Connectors",
                "A destination of the routing table names one of these as its `connector`. What an answer means where "
                "a page says nothing about it is in [what is tried again](../reference/retries.md). "
                "[Add a connector](../how-to/add-a-connector.md) shows how another is written, in one file.",
                listed,
            ]
        )
        + "\n"
    )


def _guarantee(action: Action) -> str:
    first = " ".join(action.doc.split("\n\n")[0].split())
    found = GUARANTEE.search(first)
    return "once" if found and found[1].startswith("once") else found[1] if found else ""


def _settings(model: type[DestinationSettings]) -> str:
    own: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        base = DestinationSettings.model_fields.get(name)
        if base is None or (name != "connector" and base.default != info.default):
            own[name] = info
    schema = model.model_json_schema()
    rows = [
        (f"`{name}`", _default(info), markdown(info.description or "") or _type(schema["properties"][name], schema))
        for name, info in own.items()
    ]
    common = "Besides [those that every destination has](../reference/routing-table.md#destinations)"
    if not rows:
        return f"{common}, it has no keys."
    return f"{common}:\n\n{table(('key', 'default', 'meaning'), rows)}"


def _default(info: Any) -> str:
    if info.is_required():
        return "required"
    return "none" if info.default in (None, "", {}, []) else f"`{_plain(info.default)}`"


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _action(action: Action) -> list[str]:
    said = read_docstring(action.doc)
    parts = [said.text, _parameters(action.parameters)]
    if said.returns:
        parts.append(
            f"The outcome of the delivery (`headrace event`) shows: {said.returns[0].lower()}{said.returns[1:]}"
        )
    if said.raises:
        rows = [(KINDS.get(name, name), text) for name, text in said.raises.items()]
        parts.append(table(("what happens", "when"), rows))
    return parts


def _parameters(model: type[BaseModel]) -> str:
    schema = model.model_json_schema()
    properties: Mapping[str, Any] = schema.get("properties", {})
    rows = []
    for name, info in model.model_fields.items():
        rows.append((f"`{name}`", _type(properties[name], schema), _default(info)))
    if schema.get("additionalProperties") is True:
        rows.append(("any other", "anything", "none"))
    return table(("parameter", "type", "default"), rows) if rows else "It has no parameters."


def _type(schema: Mapping[str, Any], whole: Mapping[str, Any]) -> str:
    """Return a JSON Schema in words."""
    if "$ref" in schema:
        found = whole["$defs"][schema["$ref"].rpartition("/")[2]]
        keys = ", ".join(f"`{name}`" for name in found["properties"])
        return f"a {found['title'].lower()}: {keys}"
    for union in ("anyOf", "oneOf"):
        if union in schema:
            members = [_type(member, whole) for member in schema[union] if member.get("type") != "null"]
            return " or ".join(dict.fromkeys(members))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}), whole)}" + _bounds(schema, "maxItems", "at most {}")
    if schema.get("type") == "object":
        return "mapping"
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true` or `false`"}
    return words.get(str(schema.get("type")), "anything") + _bounds(schema, "maxLength", "at most {} characters")


def _bounds(schema: Mapping[str, Any], key: str, words: str) -> str:
    return f", {words.format(schema[key])}" if key in schema else ""


def _answers(connector: Connector) -> str:
    common = "[the table that all connectors share](../reference/retries.md)"
    rules = connector.dialect.rules if connector.dialect else ()
    if not rules:
        return f"As {common} has it."
    rows = [(statuses(rule.first, rule.last), rule.meaning.replace("_", " "), markdown(rule.because)) for rule in rules]
    return f"These come before {common}:\n\n{table(('status', 'meaning', 'because'), rows)}"


def statuses(first: int, last: int) -> str:
    """Return one status, or a range of them."""
    return str(first) if first == last else f"{first}-{last}"


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines
    )
