"""The clock of the brokers: that of the active controller, as it says it itself.

Kafka has no request for the time. DescribeQuorum (KIP-595, KIP-836) tells when each controller last fetched from the
leader, and for the leader itself that is now.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IncompatibleBrokerVersion, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields

_TOPIC, _PARTITION = "__cluster_metadata", 0
_REPLICAS = CompactArray(
    ("replica_id", Int32),
    ("log_end_offset", Int64),
    ("last_fetch_ms", Int64),
    ("last_caught_up_ms", Int64),
    ("tags", TaggedFields),
)


class _Response(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY, API_VERSION = 55, 1
    SCHEMA = Schema(
        ("error_code", Int16),
        (
            "topics",
            CompactArray(
                ("name", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("leader_id", Int32),
                        ("leader_epoch", Int32),
                        ("high_watermark", Int64),
                        ("voters", _REPLICAS),
                        ("observers", _REPLICAS),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _RequestStruct(RequestStruct):  # type: ignore[misc]  # as above
    API_KEY, API_VERSION = 55, 1
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("name", CompactString("utf-8")),
                ("partitions", CompactArray(("partition", Int32), ("tags", TaggedFields))),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _Request(Request[_RequestStruct]):  # type: ignore[misc]  # as above
    API_KEY = 55

    def build(self, request_struct_class: type[_RequestStruct]) -> _RequestStruct:
        return request_struct_class([(_TOPIC, [(_PARTITION, {})], {})], {})


async def clock_ahead_s(admin: AIOKafkaAdminClient, now_s: Callable[[], float] = time.time) -> float | None:
    """Return by how many seconds the active controller's clock is ahead of this one, to half the time it took to ask.

    ``None`` where the brokers do not say: before Kafka 3.3, or with ZooKeeper.

    Raises:
        KafkaError: they refuse, as without the right to describe the cluster.
    """
    before_s = now_s()
    try:
        answer = (await admin._send_request(_Request())).to_object()
    except (NotImplementedError, IncompatibleBrokerVersion):
        return None
    after_s = now_s()
    if answer["error_code"]:
        raise for_code(answer["error_code"])
    quorum = answer["topics"][0]["partitions"][0]
    if quorum["error_code"]:
        raise for_code(quorum["error_code"])
    leader = next((one for one in quorum["voters"] if one["replica_id"] == quorum["leader_id"]), None)
    if leader is None or leader["last_fetch_ms"] <= 0:
        return None
    return float(leader["last_fetch_ms"]) / 1000 - (before_s + after_s) / 2
