"""The topics of a routing table: what each must be, and that sizes leave room for what is added on the way."""

from __future__ import annotations

from streams.kafka import OVERHEAD_BYTES
from streams.topic_difference import MIN_INSYNC, Difference
from streams.topics import TopicNames, TopicSpec, required_topics


def specs(prefix: str = "") -> dict[str, TopicSpec]:
    found = required_topics(
        TopicNames(prefix),
        sources={"github": 1000, "orders": 5000},
        destinations=["crm", "log"],
        delays_s=[60, 120, 60],
        dedup_ttl_s_max=86_400,
        partitions=4,
    )
    return {spec.name: spec for spec in found}


def test_every_part_of_the_flow_has_its_topic() -> None:
    assert set(specs()) == {
        "events.github",
        "events.orders",
        "events.headrace",
        "deliveries.crm",
        "deliveries.log",
        "retries.60s",
        "retries.120s",
        "outcomes",
        "dead-letter",
        "pauses",
        "cancellations",
        "headrace-fan-out-seen-changelog",
    }


def test_the_prefix_is_put_before_every_name_and_group() -> None:
    assert all(name.startswith("test-") for name in specs("test-"))
    names = TopicNames("test-")
    assert all(
        name.startswith("test-") for name in (names.fan_out_group, names.deliver_group("x"), names.retries_group)
    )


def test_a_record_fits_wherever_it_goes_next() -> None:
    topics = specs()
    largest_event = max(topics["events.github"].record_bytes_max, topics["events.orders"].record_bytes_max)
    assert largest_event >= 5000 + OVERHEAD_BYTES
    for name in ("deliveries.crm", "retries.60s"):
        assert topics[name].record_bytes_max >= largest_event + OVERHEAD_BYTES
    assert topics["dead-letter"].record_bytes_max >= topics["retries.60s"].record_bytes_max + OVERHEAD_BYTES


def test_what_shares_a_table_shares_its_partitions() -> None:
    topics = specs()
    shared = {topics[name].partitions for name in topics if name not in ("pauses", "cancellations")}
    assert shared == {4}
    assert topics["pauses"].partitions == 1


def test_dead_letters_are_kept_until_they_are_settled() -> None:
    letters = specs()["dead-letter"].config()
    assert letters["cleanup.policy"] == "compact"
    assert "retention.ms" not in letters
    assert specs()["headrace-fan-out-seen-changelog"].config()["retention.ms"] == str(86_400_000)


def test_only_what_loses_or_misplaces_records_is_fatal() -> None:
    assert Difference("t", "partitions", "8", "4").fatal
    assert Difference("t", MIN_INSYNC, "at least 2", "1").fatal
    assert not Difference("t", "retention.ms", "8", "4").fatal
    assert Difference("t", "topic", "present", "missing").missing
    assert str(Difference("t", "partitions", "8", "4")) == "t: partitions is 4, expected 8"
