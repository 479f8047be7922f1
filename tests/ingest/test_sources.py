from __future__ import annotations

import json
import re

import pytest
from aiokafka.partitioner import murmur2 as kafkas_murmur2
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ingest.partitioner import murmur2, partition_of
from ingest.rate import RateLimit, parse_rate
from ingest.scheme import MalformedEvent, load_scheme, scheme_names
from ingest.signature import SignedRequest
from ingest.sources import SourceSettings, compile_source, parse_duration_s, source_model_for
from streams.event import QUERY_HEADER, Event, body_sha256, dedup_id
from tests.ingest.conftest import make_source, request_of, signed_request


def event_of(source_keys: dict[str, object], body: object, *, scheme: str = "hmac", event_id: str = "evt-1") -> Event:
    source = make_source(scheme, **source_keys)
    raw = json.dumps(body).encode()
    request = signed_request(source, raw, event_id=event_id)
    return source.event(request, body, content_type="application/json", content_encoding="", time_ms=5)


def test_an_event_of_a_provider_that_signs_its_id() -> None:
    event = event_of({}, {"id": "evt_1", "type": "invoice.paid"}, scheme="stripe")
    assert (event.id, event.dedup_id, event.type, event.key) == ("evt_1", "evt_1", "invoice.paid", b"evt_1")


def test_an_event_of_a_provider_that_does_not_sign_its_id() -> None:
    first = event_of({}, {"a": 1}, scheme="github", event_id="d-1")
    other = event_of({}, {"a": 2}, scheme="github", event_id="d-1")
    assert first.id == other.id == "d-1"
    assert first.dedup_id == dedup_id("d-1", first.body, id_signed=False)
    assert first.dedup_id != other.dedup_id  # a captured body under this id suppresses nothing
    assert first.headers["x-github-delivery"] == "d-1"
    assert "x-hub-signature-256" not in first.headers


def test_an_event_without_an_id_is_its_body() -> None:
    event = event_of({}, {"a": 1})
    assert event.id == event.dedup_id == body_sha256(event.body)
    assert event.type == "webhook"


@pytest.mark.parametrize(
    ("expression", "body", "expected"),
    [
        ("{{ body.id }}", {"id": "o-1"}, "o-1"),
        ("body.id", {"id": "o-1"}, "o-1"),
        ("{{ body.id }}", {"id": 12345678901234567890}, "12345678901234567890"),
        ("{{ body.id }}", {"id": 1.5}, "1.5"),
        ("{{ body.shop }}-{{ body.id }}", {"shop": "a", "id": 7}, "a-7"),
    ],
)
def test_an_event_id_expression(expression: str, body: object, expected: str) -> None:
    event = event_of({"event_id": expression}, body)
    assert event.id == expected
    assert event.dedup_id == expected  # hmac signs the body, and the expression reads the body alone


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"id": None},
        {"id": True},
        {"id": ""},
        {"id": "x" * 257},
        {"id": ["a"]},
        {"id": {}},
        {"id": 1e300},
        [],
        7,
        "x",
    ],
)
def test_an_event_id_that_is_missing_or_of_the_wrong_kind(body: object) -> None:
    with pytest.raises(MalformedEvent):
        event_of({"event_id": "{{ body.id }}"}, body)


@pytest.mark.parametrize(
    ("scheme", "keys", "signed"),
    [
        ("hmac", {"event_id": "{{ body.id }}"}, True),
        ("github", {"event_id": "{{ body.id }}"}, True),
        ("hmac", {"event_id": "{{ headers['x-id'] }}", "keep_headers": ["X-Id"]}, False),
        ("hmac", {"event_id": "{{ body.id }}{{ headers['x-id'] }}", "keep_headers": ["x-id"]}, False),
        ("none", {"event_id": "{{ body.id }}"}, False),
        ("bearer", {"event_id": "{{ body.id }}"}, False),
    ],
)
def test_an_expressions_id_is_signed_only_if_the_scheme_signs_all_it_reads(
    scheme: str, keys: dict[str, object], signed: bool
) -> None:
    source = make_source(scheme, **keys)
    request = request_of(b"{}", {"x-id": "7"})
    assert source.identify(request, {"id": "1"}).id_signed is signed


def test_partition_by_is_the_key_and_not_the_id() -> None:
    event = event_of({"partition_by": "{{ body.customer }}"}, {"id": "evt_1", "customer": 7}, scheme="stripe")
    assert (event.key, event.dedup_id) == (b"7", "evt_1")
    with pytest.raises(MalformedEvent, match="partition_by"):
        event_of({"partition_by": "{{ body.customer }}"}, {"id": "evt_1"}, scheme="stripe")


def test_kept_headers_are_text_and_bounded() -> None:
    source = make_source("hmac", keep_headers=["X-Kept"])
    pairs = [("X-Kept", "a\udcff"), ("X-Kept", "b"), ("X-Other", "c")]
    event = source.event(request_of(b"{}", pairs), {}, content_type="", content_encoding="", time_ms=0)
    assert event.headers == {"x-kept": "a\ufffd, b"}
    many = request_of(b"{}", [("X-Kept", "x" * 4000)] * 5)
    with pytest.raises(MalformedEvent, match="too large"):
        source.event(many, {}, content_type="", content_encoding="", time_ms=0)


@given(
    body=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_any_body_gives_an_event_or_is_malformed(body: object) -> None:
    source = make_source("hmac", event_id="{{ body.id }}", partition_by="{{ body.key }}")
    for given_body in (body, {"id": body, "key": "k"}, {"id": "i", "key": body}):
        try:
            event = source.event(request_of(b"{}", {}), given_body, content_type="", content_encoding="", time_ms=0)
        except MalformedEvent:
            continue
        assert Event.from_record(event.key, event.body, event.to_headers()) == event


@pytest.mark.parametrize(
    ("scheme", "keys", "text"),
    [
        ("github", {}, "needs secret_env"),
        ("none", {}, "allow_unsigned"),
        ("none", {"allow_unsigned": True, "secret_env": "A"}, "remove secret_env"),
        ("github", {"secret_env": "A", "allow_unsigned": True}, "scheme none"),
        ("github", {"secret_env": []}, "at least 1"),
        ("github", {"secret_env": "A", "unknown": 1}, "Extra inputs"),
        ("github", {"secret_env": "A", "header": "X"}, "Extra inputs"),
        ("hmac", {"secret_env": "A", "algorithm": "md5"}, "sha256"),
        ("hmac", {"secret_env": "A", "header": "X Y"}, "pattern"),
        ("github", {"secret_env": "A", "dedup_ttl": "1d"}, "3d in which"),
        ("github", {"secret_env": "A", "dedup_ttl": "soon"}, "not a duration"),
        ("github", {"secret_env": "A", "rate": "fast"}, "not a rate"),
        ("github", {"secret_env": "A", "event_id": "{{ body.id"}, "event_id"),
        ("github", {"secret_env": "A", "event_id": "{{ event.id }}"}, "undefined"),
        ("github", {"secret_env": "A", "keep_headers": ["Authorization"]}, "never kept"),
        ("github", {"secret_env": "A", "body_bytes_max": 0}, "greater"),
    ],
)
def test_a_mistake_in_a_source_is_named(scheme: str, keys: dict[str, object], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        source_model_for(scheme).model_validate({"scheme": scheme, **keys})


@pytest.mark.parametrize("name", scheme_names())
def test_an_id_is_remembered_for_as_long_as_a_request_may_come_again(name: str) -> None:
    scheme = load_scheme(name)
    if "dedup_ttl" in scheme.options_model.model_fields:  # its own, where later events have the same body
        assert make_source(name, dedup_ttl="1s").settings.dedup_ttl_s == 1
        return
    repeated_s = max(scheme.retry_window_s, scheme.timestamp_tolerance_s or 0)
    assert make_source(name).settings.dedup_ttl_s >= max(7 * 86400, repeated_s)
    assert make_source(name, dedup_ttl=max(repeated_s, 1)).settings.dedup_ttl_s == max(repeated_s, 1)
    if repeated_s > 1:
        with pytest.raises(ValidationError) as refused:
            make_source(name, dedup_ttl=f"{repeated_s - 1}s")
        said = re.search(r"shorter than the (\w+) in which", str(refused.value))
        assert said is not None
        assert parse_duration_s(said[1]) == repeated_s


@pytest.mark.parametrize(
    ("name", "ttl_s", "text"),
    [
        ("github", 3 * 86400 - 1, "3d in which the provider may send an event again"),
        ("front", 299, "5m in which a request is accepted, so that a captured one"),
        ("zoom", 150 * 60, "210m in which a request is accepted, so that a captured one"),
    ],
)
def test_who_would_be_carried_out_twice_is_named(name: str, ttl_s: int, text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        make_source(name, dedup_ttl=ttl_s)


@pytest.mark.parametrize("name", scheme_names())
def test_the_last_retry_of_a_provider_that_may_sign_once_is_not_stale(name: str) -> None:
    """A tolerance is either that of requests that are signed anew, or has room for the last retry and its delay."""
    window_s, tolerance_s = load_scheme(name).retry_window_s, load_scheme(name).timestamp_tolerance_s
    if window_s and tolerance_s is not None and tolerance_s >= window_s:
        assert tolerance_s >= min(window_s + 3600, 2 * window_s)


def test_a_source_has_its_defaults() -> None:
    settings = source_model_for("github").model_validate({"scheme": "github", "secret_env": ["NEW", "OLD"]})
    assert isinstance(settings, SourceSettings)
    assert (settings.body_bytes_max, settings.dedup_ttl_s) == (1024 * 1024, 7 * 86400)
    assert settings.secret_envs == ["NEW", "OLD"]
    assert "header" in source_model_for("hmac").model_json_schema()["properties"]


@pytest.mark.parametrize(("text", "seconds"), [("7d", 604800), ("90s", 90), (90, 90), ("12h", 43200), ("5m", 300)])
def test_durations(text: str | int, seconds: int) -> None:
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "d", "-1s", "1.5h", "٣s", "1w"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration_s(text)


def test_a_rate_limit_lets_a_burst_of_a_second_pass_and_then_its_rate() -> None:
    limit = RateLimit(parse_rate("10/s"))
    assert [limit.wait_s(100.0) for _ in range(10)] == [0.0] * 10
    assert limit.wait_s(100.0) == pytest.approx(0.1)
    assert limit.wait_s(100.1) == 0.0
    assert limit.wait_s(100.1) > 0
    slow = RateLimit(parse_rate("1/m"))
    assert slow.wait_s(0.0) == 0.0
    assert slow.wait_s(0.0) == pytest.approx(60)


@given(key=st.binary(max_size=300))
def test_keys_go_where_kafkas_clients_put_them(key: bytes) -> None:
    assert murmur2(key) == kafkas_murmur2(key) & 0xFFFFFFFF
    assert partition_of(key, [0, 1, 2], []) == (kafkas_murmur2(key) & 0x7FFFFFFF) % 3


def test_an_id_is_remembered_as_long_as_the_provider_sends_again_unless_the_table_says_more() -> None:
    def ttl_s(scheme: str, **keys: object) -> int:
        return source_model_for(scheme).model_validate({"scheme": scheme, "secret_env": "SECRET", **keys}).dedup_ttl_s

    assert ttl_s("github") == 7 * 24 * 3600
    assert ttl_s("docusign") == 15 * 24 * 3600
    assert ttl_s("dropbox") == 1  # whose notifications have no id, and the same body again and again
    assert ttl_s("dropbox", dedup_ttl="1d") == 24 * 3600
    assert ttl_s("docusign", dedup_ttl="20d") == 20 * 24 * 3600
    with pytest.raises(ValueError, match="may send an event again"):
        ttl_s("docusign", dedup_ttl="7d")


def test_the_query_is_kept_for_a_mirror_alone_and_without_the_source_s_secrets() -> None:
    settings = source_model_for("hmac").model_validate({"scheme": "hmac", "secret_env": "S"})
    request = SignedRequest("POST", "/webhook/orders?a=1&a=2&b=%20x&token=s3+cret&empty", (), b"{}")
    for keep, expected in ((True, {QUERY_HEADER: "a=1&a=2&b=%20x&empty"}), (False, {})):
        source = compile_source("orders", settings, [b"s3 cret"], keep_query=keep)
        event = source.event(request, {}, content_type="", content_encoding="", time_ms=1)
        assert event.headers == expected
