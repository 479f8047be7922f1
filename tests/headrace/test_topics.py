"""Topics on a real broker: created, left alone the second time, and refused where work would lose records."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from headrace.cli import main
from headrace.context import Settings
from headrace.topics import ensure_topics, required_insync
from streams.topic_configs import TopicError
from tests.harness import KafkaForTests

pytestmark = pytest.mark.integration

TABLE = """\
version: 1
sources: {orders: {scheme: hmac, secret_env: X, dedup_ttl: %s}}
destinations: {console: {connector: log, delays_s: [60]}}
routes: [{name: r, source: orders, to: console, action: write}]
"""


@pytest.fixture
def settings(kafka: KafkaForTests, tmp_path: Path) -> Settings:
    path = tmp_path / "headrace.yaml"
    path.write_text(TABLE % "7d")
    prefix = f"t{uuid.uuid4().hex[:8]}-"
    return Settings(path, tmp_path, kafka.bootstrap_servers, prefix, environ={"HEADRACE_PARTITIONS": "2"})


def topics(settings: Settings, *args: str, **env: str) -> Result:
    options = ["--config", str(settings.config_path), "--topic-prefix", settings.topic_prefix]
    servers = ["--kafka-bootstrap-servers", settings.bootstrap_servers]
    return CliRunner().invoke(main, ["topics", *options, *servers, *args], env={"HEADRACE_PARTITIONS": "2", **env})


def test_a_dry_run_changes_nothing_and_a_second_run_finds_all_as_it_must_be(settings: Settings) -> None:
    dry = topics(settings, "--dry-run")
    assert dry.exit_code == 0, dry.output
    assert f"missing {settings.topic_prefix}events.orders" in dry.output
    first = topics(settings)
    assert first.exit_code == 0, first.output
    assert f"created {settings.topic_prefix}deliveries.console" in first.output
    assert topics(settings).output == "9 topics: 0 created, 9 as they must be, 0 missing, 0 different\n"


def test_a_changed_number_of_partitions_is_refused_with_advice(settings: Settings) -> None:
    assert topics(settings).exit_code == 0
    refused = topics(settings, HEADRACE_PARTITIONS="4")
    assert refused.exit_code == 1
    assert "HEADRACE_PARTITIONS=2" in refused.stderr
    assert "Traceback" not in refused.output


async def test_work_does_not_start_on_other_partitions(settings: Settings) -> None:
    assert len(await ensure_topics(settings, settings.table())) == 9
    assert await ensure_topics(settings, settings.table()) == []
    settings.environ = {"HEADRACE_PARTITIONS": "4"}
    with pytest.raises(TopicError, match="partitions is 2, expected 4"):
        await ensure_topics(settings, settings.table())


def test_what_merely_differs_is_reported(settings: Settings) -> None:
    assert topics(settings).exit_code == 0
    settings.config_path.write_text(TABLE % "8d")
    changed = topics(settings)
    assert changed.exit_code == 0
    assert "seen-changelog: retention.ms is" in changed.output


async def test_one_replica_elsewhere_needs_an_override(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.topics._LOOPBACK", ())  # as if the broker were on another machine
    with pytest.raises(TopicError, match="HEADRACE_MIN_INSYNC_REPLICAS=1"):
        await ensure_topics(settings, settings.table())
    settings.environ = {"HEADRACE_PARTITIONS": "2", "HEADRACE_MIN_INSYNC_REPLICAS": "1"}
    assert len(await ensure_topics(settings, settings.table())) == 9


@pytest.mark.parametrize(
    ("servers", "required"),
    [("127.0.0.1:9092", 1), ("localhost:9092", 1), ("kafka:9092", 2), ("127.0.0.1:9092,kafka:9092", 2)],
)
def test_brokers_elsewhere_need_two_replicas(servers: str, required: int) -> None:
    assert required_insync(Settings(kafka_bootstrap_servers=servers, environ={})) == required
    override = Settings(kafka_bootstrap_servers=servers, environ={"HEADRACE_MIN_INSYNC_REPLICAS": "1"})
    assert required_insync(override) == 1
