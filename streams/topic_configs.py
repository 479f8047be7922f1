"""The configuration of topics on the broker: read, and changed key by key."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int8, Int16, Int32, Schema, String

KNOWN_S_MAX, ASKED_PER_S = 10, 5  # after a topic's creation, until every broker has heard of it
_SET = 0  # the operation of KIP-339 that gives a key a value


class TopicError(Exception):
    """A topic cannot be created, or is not what it must be."""


async def read_configs(admin: AIOKafkaAdminClient, topics: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return the configuration of each topic, what it has by the broker's defaults included.

    A topic that was created a moment ago need not be known to the broker that is asked: it is asked again.

    Raises:
        TopicError: the broker does not show one.
    """
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in topics]
    for _ in range(KNOWN_S_MAX * ASKED_PER_S):
        responses = await admin.describe_configs(resources)
        codes = {code for response in responses for code, *_ in response.resources}
        if UnknownTopicOrPartitionError.errno not in codes:
            break
        await asyncio.sleep(1 / ASKED_PER_S)
    configs = {}
    for response in responses:
        for code, message, _, name, entries, *_ in response.resources:
            if code:
                reason = message or for_code(code).__name__
                raise TopicError(f"the broker does not show the configuration of the topic {name}: {reason}")
            configs[name] = {entry[0]: entry[1] for entry in entries}
    return configs


async def change_configs(admin: AIOKafkaAdminClient, changes: Mapping[str, Mapping[str, str]]) -> None:
    """Give keys of topics new values, and leave all their other keys as they are.

    aiokafka's own ``alter_configs`` is the request of old, which puts every key that it does not name back to the
    broker's default.

    Raises:
        TopicError: the broker refused a change; those of other topics may be done.
    """
    resources = [
        (int(ConfigResourceType.TOPIC), topic, [(key, _SET, value) for key, value in keys.items()])
        for topic, keys in changes.items()
    ]
    response = await admin._send_request(_IncrementalAlterConfigs(resources))
    for code, message, _, topic in response.responses:
        if code:
            reason = message or for_code(code).__name__
            raise TopicError(f"the broker refused to change the topic {topic}: {reason}")


# KIP-339, version 0: https://kafka.apache.org/protocol#The_Messages_IncrementalAlterConfigs


class _IncrementalAlterConfigsResponse(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 44
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "responses",
            Array(
                ("error_code", Int16),
                ("error_message", String("utf-8")),
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
            ),
        ),
    )


class _IncrementalAlterConfigsRequest(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 44
    API_VERSION = 0
    RESPONSE_TYPE = _IncrementalAlterConfigsResponse
    SCHEMA = Schema(
        (
            "resources",
            Array(
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
                (
                    "configs",
                    Array(
                        ("name", String("utf-8")),
                        ("config_operation", Int8),
                        ("value", String("utf-8")),
                    ),
                ),
            ),
        ),
        ("validate_only", Boolean),
    )


class _IncrementalAlterConfigs(Request[_IncrementalAlterConfigsRequest]):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 44

    def __init__(self, resources: list[Any]) -> None:
        self._resources = resources

    def build(self, request_struct_class: type[_IncrementalAlterConfigsRequest]) -> Any:
        """Return the request as it is sent."""
        return request_struct_class(self._resources, False)
