"""The Faust application of fan-out: the events topics, the table ``seen``, and one agent over all of them.

Faust reads, balances the partitions and recovers the table. Taking, acknowledging and committing are `streams.intake`,
because Faust's own lose records (`streams.recovery_fix`). It is embedded: ``app.start()`` in the caller's loop, not
``faust.Worker``, which would take over signals, logging and the end of the process.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faust
from faust.sensors import Monitor

from streams.kafka import HEARTBEAT_S, SESSION_TIMEOUT_S, KafkaSettings
from streams.security import Security
from streams.topics import TopicNames

POLL_RECORDS_MAX = 50
QUEUE_RECORDS_MAX = 250  # five polls: a full queue blocks Faust's one loop
FETCH_BYTES_MAX = 256 * 1024  # of one partition; there are as many as sources times partitions
# Per partition: a cache of 4 MiB, two memory tables of 1 MiB, few open files: about 50 MiB for 8 partitions.
DATABASE_OPTIONS = {
    "block_cache_size": 4 << 20,
    "write_buffer_size": 1 << 20,
    "max_write_buffer_number": 2,
    "target_file_size_base": 8 << 20,
    "max_open_files": 64,
}


class QuietMonitor(Monitor):
    """Faust's statistics of each event, which nobody reads, left out: a sixth of the stage's work."""

    def _nothing(self, *_: Any, **__: Any) -> None:
        """Note nothing."""

    on_message_in = on_message_out = on_stream_event_in = on_stream_event_out = _nothing
    on_topic_buffer_full = track_tp_end_offset = _nothing


@dataclass(frozen=True, slots=True)
class Hooks:
    """What Faust calls: with the stream of records, partitions that come and go, and each row that it recovers."""

    take_all: Callable[[Any], Awaitable[None]]
    assigned: Callable[..., Awaitable[None]]
    revoked: Callable[..., Awaitable[None]]
    recovered: Callable[[object], Awaitable[None]]


def build_app(
    kafka: KafkaSettings,
    names: TopicNames,
    topics: Iterable[str],
    data_dir: Path,
    hooks: Hooks,
    *,
    partitions: int,
    ttl_s: int,
) -> tuple[Any, Mapping[int, Any]]:
    """Return the application, not started, and the table's open databases by partition, which it changes."""
    for name in ("faust", "mode", "aiokafka", __name__):  # 14 % of the work was debug records that nobody reads
        logging.getLogger(name).setLevel(logging.WARNING)
    app: Any = faust.App(**_settings(kafka, names, data_dir, partitions))
    topic = app.topic(*topics, key_type=bytes, value_type=bytes, acks=False, partitions=partitions)
    table = app.Table(
        "seen",
        key_type=bytes,
        value_type=bytes,
        partitions=partitions,
        # RocksDB drops a row some time after its ttl, and Faust's stored offset with it if nothing was written
        # for as long: the recovery then reads the whole changelog once. Rows themselves keep their time.
        options={**DATABASE_OPTIONS, "ttl": ttl_s},
        on_changelog_event=hooks.recovered,
    )
    if table.changelog_topic_name != names.seen_changelog:
        raise RuntimeError(f"Faust names the changelog {table.changelog_topic_name}")
    app.agent(topic, name="fan_out")(hooks.take_all)
    app.on_partitions_assigned.connect(hooks.assigned, weak=False)
    app.on_partitions_revoked.connect(hooks.revoked, weak=False)
    return app, table.data._dbs


def _settings(kafka: KafkaSettings, names: TopicNames, data_dir: Path, partitions: int) -> dict[str, Any]:
    return {
        "id": names.fan_out_group,
        "broker": ";".join(f"kafka://{server.strip()}" for server in kafka.bootstrap_servers.split(",")),
        "broker_credentials": _credentials(kafka.security),
        "store": "rocksdb://",
        "datadir": str(data_dir),
        "web_enabled": False,
        "Monitor": QuietMonitor,
        "key_serializer": "raw",
        "value_serializer": "raw",
        "topic_partitions": partitions,
        "topic_allow_declare": False,  # headrace creates the topics
        "topic_disable_leader": True,
        "table_standby_replicas": 0,
        "stream_wait_empty": False,
        "stream_buffer_maxsize": QUEUE_RECORDS_MAX,
        "stream_recovery_delay": 0.0,
        "broker_max_poll_records": POLL_RECORDS_MAX,
        "broker_max_poll_interval": 2_000_000.0,  # the watchdog judges progress
        "broker_session_timeout": SESSION_TIMEOUT_S,
        "broker_heartbeat_interval": HEARTBEAT_S,
        "broker_request_timeout": 40.0,
        "consumer_max_fetch_size": FETCH_BYTES_MAX,
        "consumer_auto_offset_reset": "earliest",
    }


def _credentials(security: Security) -> Any:
    """Return ``security`` as Faust passes it on to aiokafka; it takes the protocol from what is given."""
    if security.uses_sasl:
        return faust.SASLCredentials(
            mechanism=security.sasl_mechanism,
            username=security.sasl_username,
            password=security.sasl_password,
            ssl_context=security.ssl_context,
        )
    return faust.SSLCredentials(security.ssl_context) if security.uses_tls else None
