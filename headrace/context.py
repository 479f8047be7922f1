"""What a command gets: where the routing table, the data directory and Kafka are, and the secrets."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.secrets import SecretError, read_secret, read_secrets_file, resolve

if TYPE_CHECKING:  # a command that needs no Kafka must not wait for aiokafka
    from connectors.connector import DestinationSettings
    from headrace.config import RoutingTable
    from headrace.kafka_environment import KafkaEnvironment
    from headrace.logs import LogLevel
    from ingest.sources import SourceSettings
    from streams.kafka import KafkaSettings
    from streams.topics import TopicNames

DEFAULT_KAFKA_PORT = 9092
QUEUE_DEPTH_MAX = 100_000
BODY_BYTES_MAX = 1024 * 1024  # as a source's default
NUMBER_MAX = 1_000_000_000
RETENTION_DEFAULT = "7d"
RETENTION_S_MIN = 3600  # what waits for fan-out longer than this is lost: an outage of an hour is ordinary
_ABOUT_TOPICS = (
    "partitions",
    "replication_factor",
    "min_insync_replicas",
    "retention_events_s",
    "retention_outcomes_s",
)


class SettingError(Exception):
    """An environment variable has a value that cannot be used."""


@dataclass
class Settings:
    """The shared options of a command line, and what follows from them."""

    config_path: Path = Path("headrace.yaml")
    data_dir: Path = Path(".headrace")
    kafka_bootstrap_servers: str | None = None
    topic_prefix: str = ""
    log_format: str = "json"
    log_level: str = "info"
    logs: LogLevel | None = field(default=None, repr=False)  # to change the level of this process while it runs
    base_dir: Path | None = None  # of relative paths in the routing table, where it is not the table's own
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)  # it holds secrets
    _body_bytes_max: int = field(default=BODY_BYTES_MAX, repr=False)

    def table(self) -> RoutingTable:
        """Return the routing table as it is now in its file.

        Raises:
            ConfigError: it is not valid.
        """
        from headrace.config import load_routing_table

        table = load_routing_table(self.config_path, base_dir=self.base_dir)
        self._body_bytes_max = table.body_bytes_max
        return table

    @property
    def bootstrap_servers(self) -> str:
        """Where Kafka is: as configured, else where the embedded Kafka of this data directory listens."""
        if self.kafka_bootstrap_servers:
            return ",".join(server.strip() for server in self.kafka_bootstrap_servers.split(","))
        return f"127.0.0.1:{self._embedded_port() or DEFAULT_KAFKA_PORT}"

    def kafka(self, table: RoutingTable | None = None) -> KafkaSettings:
        """Return how to reach Kafka, with room for the largest body of ``table``, or of the table read last.

        Raises:
            SettingError: the environment says it in a way that cannot be used; one line with every mistake.
        """
        from streams.kafka import OVERHEAD_BYTES, KafkaSettings

        mistakes = self.kafka_mistakes()
        if mistakes:
            raise SettingError("; ".join(mistakes))
        largest = table.body_bytes_max if table is not None else self._body_bytes_max
        return KafkaSettings(
            self.bootstrap_servers,
            self.topic_prefix,
            # The largest record is a dead letter: the event, and the headers of delivery and failure.
            record_bytes_max=largest + 3 * OVERHEAD_BYTES,
            security=self.kafka_environment.security,
            compression=self.kafka_environment.compression,
        )

    @cached_property
    def kafka_environment(self) -> KafkaEnvironment:
        """The Kafka variables of the environment, read once: a new password or certificate takes a new start."""
        from headrace.kafka_environment import KafkaEnvironment

        return KafkaEnvironment(self.environ, self.kafka_bootstrap_servers)

    def kafka_mistakes(self) -> list[str]:
        """Return a sentence for each variable about Kafka and its topics that cannot be used."""
        mistakes = list(self.kafka_environment.mistakes)
        for name in _ABOUT_TOPICS:
            try:
                getattr(self, name)
            except SettingError as error:
                mistakes += [str(error)] if str(error) not in mistakes else []
        return mistakes

    @property
    def topic_names(self) -> TopicNames:
        """The names of all topics, behind the prefix."""
        from streams.topics import TopicNames

        return TopicNames(self.topic_prefix)

    @property
    def partitions(self) -> int:
        """How many partitions new topics get (``HEADRACE_PARTITIONS``); fixed for good once they exist."""
        from streams.topics import PARTITIONS

        return self._number("HEADRACE_PARTITIONS") or PARTITIONS

    @property
    def replication_factor(self) -> int | None:
        """How many replicas new topics get (``HEADRACE_REPLICATION_FACTOR``); ``None``: as many as suits."""
        return self._number("HEADRACE_REPLICATION_FACTOR")

    @property
    def min_insync_replicas(self) -> int | None:
        """How many replicas must have an event before it is accepted (``HEADRACE_MIN_INSYNC_REPLICAS``)."""
        min_insync, replicas = self._number("HEADRACE_MIN_INSYNC_REPLICAS"), self.replication_factor
        if min_insync and replicas and min_insync > replicas:
            raise SettingError("HEADRACE_MIN_INSYNC_REPLICAS is larger than HEADRACE_REPLICATION_FACTOR")
        return min_insync

    @property
    def retention_events_s(self) -> int:
        """For how long events are kept (``HEADRACE_RETENTION_EVENTS``)."""
        return self._retention_s("HEADRACE_RETENTION_EVENTS")

    @property
    def retention_outcomes_s(self) -> int:
        """For how long it is known what became of each delivery (``HEADRACE_RETENTION_OUTCOMES``)."""
        return self._retention_s("HEADRACE_RETENTION_OUTCOMES")

    @property
    def queue_depth_max(self) -> int:
        """How many unsettled records of a queue count as full in the metrics (``HEADRACE_QUEUE_DEPTH_MAX``)."""
        return self._number("HEADRACE_QUEUE_DEPTH_MAX") or QUEUE_DEPTH_MAX

    def secret(self, name: str) -> str | None:
        """Return a secret: from ``NAME``, ``NAME_FILE``, or the data directory's ``secrets.env``; ``None`` without.

        Raises:
            SecretError: a file that holds it cannot be read.
        """
        return read_secret(name, self.environ) or self._secrets_file.get(name)

    def secrets(self, names: Iterable[str]) -> list[str]:
        """Return the secrets of these names; raises `SecretError` naming every one that is missing."""
        return resolve(names, self.environ, self._secrets_file)

    def source_secrets(self, source: SourceSettings) -> list[bytes]:
        """Return the live secrets of a source, the one to sign with first; raises as `secrets`."""
        return [os.fsencode(secret) for secret in self.secrets(source.secret_envs)]

    def option_secrets(self, source: SourceSettings) -> dict[str, bytes]:
        """Return a source's further secrets by the keys that name them; raises as `secrets`."""
        named = source.option_secret_envs()
        found = map(os.fsencode, self.secrets(named.values()))
        return dict(zip(named, found, strict=True))

    def destination_secrets(self, destination: DestinationSettings) -> dict[str, str]:
        """Return a destination's secrets by the keys that name them (``token_env``); raises as `secrets`.

        Where a key names several variables, their values stand one a line.
        """
        named = destination.secret_envs()
        self.secrets(name for names in named.values() for name in names)  # names every one that is missing
        return {key: "\n".join(self.secrets(names)) for key, names in named.items()}

    @cached_property
    def _secrets_file(self) -> dict[str, str]:
        return read_secrets_file(self.data_dir)

    def _embedded_port(self) -> int | None:
        try:
            text = (self.data_dir / "kafka" / "port").read_text().strip()
        except (OSError, UnicodeDecodeError):
            return None
        return int(text) if text.isascii() and text.isdigit() else None

    def _retention_s(self, name: str) -> int:
        from ingest.source_settings import parse_duration_s

        try:
            retention_s = parse_duration_s(self.environ.get(name, "").strip() or RETENTION_DEFAULT)
        except ValueError as error:
            raise SettingError(f"{name}: {error}") from error
        if retention_s < RETENTION_S_MIN:
            raise SettingError(f"{name} is shorter than an hour: records would be deleted before their time")
        return retention_s

    def _number(self, name: str) -> int | None:
        text = self.environ.get(name, "")
        if not text:
            return None
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:12]) <= NUMBER_MAX):
            raise SettingError(f"{name} must be a whole number between 1 and {NUMBER_MAX}")
        return int(text)


__all__ = ["SecretError", "SettingError", "Settings"]
