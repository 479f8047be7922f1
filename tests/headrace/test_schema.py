"""The JSON Schema is valid, takes the tables that `headrace check` takes, and knows every scheme and connector."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import yaml

from connectors.registry import connector_names
from headrace.table_schema import DIALECT, table_schema
from ingest.scheme import scheme_names
from tests.headrace.test_config import TEN_MISTAKES, VALID

REPOSITORY = Path(__file__).resolve().parents[2]


def errors(table: object) -> list[str]:
    return [error.json_path for error in jsonschema.Draft202012Validator(table_schema()).iter_errors(table)]


def test_the_schema_is_valid_by_its_dialect() -> None:
    assert table_schema()["$schema"] == DIALECT
    jsonschema.Draft202012Validator.check_schema(table_schema())


def test_valid_tables_are_valid_by_the_schema() -> None:
    assert errors(VALID) == []
    assert errors(yaml.safe_load((REPOSITORY / "headrace.yaml").read_text())) == []


def test_mistakes_within_a_section_are_found_where_they_are() -> None:
    found = errors(yaml.safe_load(TEN_MISTAKES))
    for path in ("$.sources.github", "$.sources.gitlab.scheme", "$.destinations.crm", "$.destinations.crm.timeout_s"):
        assert path in found


def test_every_scheme_and_connector_is_known() -> None:
    sections = table_schema()["properties"]
    for section, key, names in (
        ("sources", "scheme", scheme_names()),
        ("destinations", "connector", connector_names()),
    ):
        assert sections[section]["additionalProperties"]["properties"][key]["enum"] == names
