"""The JSON Schema of the routing table: every scheme and connector with its own keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from connectors.registry import connector_names, load_connector
from headrace.config import VERSION
from headrace.table_tests import TableTest
from ingest.scheme import scheme_names
from ingest.settings import IngestSettings
from ingest.sources import source_model_for
from streams.event import RESERVED_SOURCES
from streams.routing import NAME_PATTERN, RouteSettings
from streams.schedule import ScheduleSettings

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def table_schema() -> Schema:
    """Return the schema, complete in itself, by JSON Schema draft 2020-12."""
    sources = {name: source_model_for(name) for name in scheme_names()}
    destinations = {name: load_connector(name).settings_model for name in connector_names()}
    sections: list[type[BaseModel]] = [RouteSettings, ScheduleSettings, TableTest, IngestSettings]
    models = [*sources.values(), *destinations.values(), *sections]
    references, definitions = models_json_schema([(model, "validation") for model in dict.fromkeys(models)])
    found = {model: reference for (model, _), reference in references.items()}
    actions = sorted({action for name in destinations for action in load_connector(name).actions})
    route = _definition(found[RouteSettings], definitions)
    route["properties"]["action"]["enum"] = actions
    return {
        "$schema": DIALECT,
        "title": "Headrace routing table",
        "type": "object",
        "required": ["version"],
        "additionalProperties": False,
        "properties": {
            "version": {"const": VERSION},
            "sources": _section("scheme", {name: found[model] for name, model in sources.items()}, RESERVED_SOURCES),
            "destinations": _section("connector", {name: found[model] for name, model in destinations.items()}),
            "routes": {"type": "array", "items": found[RouteSettings]},
            "schedules": {"type": ["array", "null"], "items": found[ScheduleSettings]},
            "tests": {"type": ["array", "null"], "items": found[TableTest]},
            "ingest": {"anyOf": [found[IngestSettings], {"type": "null"}]},
        },
        "$defs": definitions["$defs"],
    }


def _definition(reference: Schema, definitions: Schema) -> Schema:
    definition: Schema = definitions["$defs"][reference["$ref"].rpartition("/")[2]]
    return definition


def _section(key: str, references: dict[str, Schema], reserved: Iterable[str] = ()) -> Schema:
    """Return the schema of a mapping from names to entries whose ``key`` says which schema holds.

    ``if``/``then`` and not ``oneOf``: an editor can then name the one key that is wrong.
    """
    return {
        "type": ["object", "null"],
        "propertyNames": {"pattern": NAME_PATTERN, **({"not": {"enum": sorted(reserved)}} if reserved else {})},
        "additionalProperties": {
            "type": "object",
            "required": [key],
            "properties": {key: {"enum": sorted(references)}},
            "allOf": [
                {"if": {"properties": {key: {"const": name}}, "required": [key]}, "then": reference}
                for name, reference in sorted(references.items())
            ],
        },
    }
