from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from headrace.config import ConfigError, load_routing_table
from headrace.table_schema import table_schema
from ingest.settings import IngestSettings, SpoolSettings


def load(tmp_path: Path, section: str) -> IngestSettings:
    path = tmp_path / "headrace.yaml"
    path.write_text(f"version: 1\n{section}\n")
    return load_routing_table(path).ingest


@pytest.mark.parametrize("section", ["", "ingest:", "ingest: {}", "ingest: {spool: false}"])
def test_there_is_no_spool_by_default(tmp_path: Path, section: str) -> None:
    assert load(tmp_path, section).spool_settings is None


def test_a_spool_has_bounds_of_its_own_or_the_defaults(tmp_path: Path) -> None:
    assert load(tmp_path, "ingest: {spool: true}").spool_settings == SpoolSettings()
    settings = load(tmp_path, "ingest: {spool: {events_max: 10, drain_rate: 50/s}}").spool_settings
    assert settings is not None
    assert (settings.events_max, settings.drain_per_s) == (10, 50)


def test_the_public_url_has_no_slash_at_its_end(tmp_path: Path) -> None:
    assert load(tmp_path, "ingest: {public_url: 'https://h.example.com/in/'}").public_url == "https://h.example.com/in"


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("ingest: 1", "ingest"),
        ("ingest: {spol: true}", "ingest.spol"),
        ("ingest: {spool: maybe}", "ingest.spool"),
        ("ingest: {spool: {events_max: 0}}", "ingest.spool.events_max"),
        ("ingest: {spool: {drain_rate: fast}}", "ingest.spool.drain_rate"),
        ("ingest: {public_url: hooks.example.com}", "ingest.public_url"),
        ("ingest: {public_url: 'https://h.example.com/?a=1'}", "ingest.public_url"),
    ],
)
def test_a_mistake_is_named_with_its_key(tmp_path: Path, section: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, section)
    assert [mistake.key for mistake in caught.value.mistakes] == [key]


def test_the_schema_knows_the_section() -> None:
    validator = jsonschema.Draft202012Validator(table_schema())
    assert not list(validator.iter_errors({"version": 1, "ingest": {"spool": {"bytes_max": 5}}}))
    assert list(validator.iter_errors({"version": 1, "ingest": {"spool": "yes"}}))
