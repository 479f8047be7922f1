from typing import Literal

import pytest

from connectors.connector import Call, Connector
from connectors.errors import PermanentError
from connectors.registry import load_connector

shop = Connector("shop")


@shop.action
async def order(
    call: Call,
    *,
    sku: str,
    count: int = 1,
    speed: Literal["slow", "fast"] = "slow",
    tags: list[str] | None = None,
    json: object = None,
) -> None:
    """Order at least once."""


ORDER = shop.actions["order"]


@pytest.mark.parametrize(
    "mapping",
    [
        {"sku": "a"},
        {"sku": "{{ body.sku }}", "count": "{{ body.count }}", "speed": "{{ body.speed }}", "tags": "{{ body.tags }}"},
        {"sku": "a", "tags": ["x", "{{ body.tag }}"]},
        {"sku": "a", "json": {"deep": [{"x": "{{ body }}"}]}},
        {"sku": 17},
        {"sku": "a", "count": "{% if body.n %}{{ body.n }}{% endif %}"},
    ],
)
def test_a_good_mapping_has_no_mistakes(mapping):
    assert ORDER.check(mapping) == []


@pytest.mark.parametrize(
    ("mapping", "path", "says"),
    [
        ({}, ("sku",), "missing"),
        ({"sku": "a", "cuont": 1}, ("cuont",), "did you mean 'count'?"),
        ({"sku": "a", "zzz": 1}, ("zzz",), "the parameters are: sku, count, speed, tags, json"),
        ({"sku": "a", "zzz": "{{ body }}"}, ("zzz",), "no parameter"),
        ({"sku": ["a"]}, ("sku",), "text"),
        ({"sku": "a", "count": "many"}, ("count",), "whole number, such as 1"),
        ({"sku": "a", "speed": "warp"}, ("speed",), "'slow' or 'fast'"),
        ({"sku": "a", "tags": [{"x": "{{ body }}"}]}, ("tags", 0), "text"),
    ],
)
def test_a_mistake_is_found_before_anything_starts(mapping, path, says):
    (mistake,) = ORDER.check(mapping)
    assert mistake.path == path
    assert says in f"{mistake.message} {mistake.suggestion}"


def test_all_mistakes_come_at_once():
    assert {mistake.path for mistake in ORDER.check({"count": "x", "speed": "y", "z": 1})} == {
        ("sku",),
        ("count",),
        ("speed",),
        ("z",),
    }


def test_a_mapping_of_http_request_is_checked():
    request = load_connector("http").actions["request"]
    mistakes = request.check({"method": "FETCH", "path": "/x", "jsn": {}, "query": {"a": {"b": 1}}})
    assert {mistake.path for mistake in mistakes} == {("method",), ("jsn",), ("query", "a")}


def test_rendered_parameters_are_read_and_a_misfit_shows_no_value():
    assert ORDER.read({"sku": 17, "count": "3"}) == {
        "sku": "17", "count": 3, "speed": "slow", "tags": None, "json": None,
    }  # fmt: skip
    with pytest.raises(PermanentError, match="count: ") as caught:
        ORDER.read({"sku": "a", "count": "private"})
    assert "private" not in str(caught.value)


FORM = {"form": {"a": 1}}
WHO = {"sender": "a@example.com", "to": "b@example.com"}


@pytest.mark.parametrize(
    ("name", "mapping", "says"),
    [
        ("http.request", {"json": {}, **FORM}, "not json and form"),
        ("http.request", {"body": "{{ body.a }}, {{ body.b }}", **FORM}, "not form and body"),
        ("http.request", {"body": "", "body_base64": ""}, "not body and body_base64"),
        ("http.request", {"multipart": {"f": {"name": "a"}}}, "content or content_base64 is missing"),
        ("http.request", {"multipart": {"f": [{"name": "a", "content": "", "content_base64": ""}]}}, "not both"),
        (
            "http.request",
            {"multipart": {"f": {"name": "a", "contents": "x", "content": "y"}}},
            "did you mean 'content'?",
        ),
        ("discord.post_message", {}, "content or embeds is missing"),
        ("email.send", {**WHO, "subject": "x"}, "text or html is missing"),
        ("google_sheets.append_rows", {"spreadsheet": "1" * 20, "sheet": "a", "row": [1], "rows": [[1]]}, "not both"),
        ("kafka.publish", {"topic": "t", "value": 1, "value_base64": "YQ=="}, "not both"),
        ("mailgun.send_mail", {**WHO, "subject": "x"}, "text, html or template is missing"),
        ("notion.create_page", {"title": "x"}, "data_source_id or page_id is missing"),
        ("postgres.upsert", {"table": "t", "row": {"a": 1}, "conflict": ["a"], "update": ["b"]}, "row has not: b"),
        ("s3.put_object", {"key": "a", "body": "x", "json": []}, "not body and json"),
        ("sendgrid.send_mail", {**WHO, "text": "x"}, "subject and text or html, or else template_id, is missing"),
        ("slack.post_message", {"channel": "c"}, "text or blocks is missing"),
        ("slack.update_message", {"channel": "c", "ts": "1"}, "text or blocks is missing"),
        ("slack_webhook.post_message", {}, "text or blocks is missing"),
        ("stripe.create_refund", {"payment_intent": "pi_1", "charge": "ch_1"}, "not both"),
        ("teams.post_message", {"text": "x", "card": {}}, "not both"),
        ("twilio.send_message", {"to": "+1", "sender": "+2"}, "body or media_url is missing"),
    ],
)
def test_what_only_the_action_would_refuse_is_found_as_written_and_as_rendered(name, mapping, says):
    connector, _, action = name.partition(".")
    chosen = load_connector(connector).actions[action]
    (mistake,) = chosen.check(mapping)
    assert says in f"{mistake.message} {mistake.suggestion}"
    with pytest.raises(PermanentError, match="the rendered parameters do not fit the action") as refused:
        chosen.read(mapping)
    assert mistake.message in str(refused.value)


@pytest.mark.parametrize(
    ("name", "mapping"),
    [
        ("http.request", {"json": "{{ body.json }}", "form": "{{ body.form }}"}),
        (
            "http.request",
            {"multipart": {"f": {"name": "a", "content": "{{ body.a }}", "content_base64": "{{ body.b }}"}}},
        ),
        ("slack.post_message", {"channel": "c", "text": "{{ body.text }}"}),
        ("teams.post_message", {"text": "{{ body.text }}", "card": "{{ body.card }}"}),
        ("postgres.upsert", {"table": "t", "row": "{{ body }}", "conflict": ["a"], "update": ["b"]}),
        ("postgres.upsert", {"table": "t", "row": {"a": 1}, "conflict": ["a"], "update": ["{{ body.b }}"]}),
    ],
)
def test_what_an_expression_decides_is_judged_when_it_is_rendered(name, mapping):
    connector, _, action = name.partition(".")
    assert load_connector(connector).actions[action].check(mapping) == []


@pytest.mark.parametrize(
    ("name", "mapping"),
    [
        ("http.request", {"body_base64": "no base 64!"}),
        ("kafka.publish", {"topic": "t", "value_base64": "no base 64!"}),
        ("s3.put_object", {"key": "a", "body_base64": "no base 64!"}),
    ],
)
def test_base64_is_read_where_the_table_says_it(name, mapping):
    connector, _, action = name.partition(".")
    chosen = load_connector(connector).actions[action]
    (mistake,) = chosen.check(mapping)
    assert mistake.message.endswith("_base64 is not Base64")
    assert chosen.check({key: value.replace("no base 64!", "{{ body.file }}") for key, value in mapping.items()}) == []
    assert chosen.check({key: value.replace("no base 64!", "bm90ZQ") for key, value in mapping.items()}) == []


def test_a_rendered_null_is_not_given():
    request = load_connector("http").actions["request"]
    assert request.read({"json": {"a": 1}, "form": None})["form"] is None


def test_what_the_destination_holds_counts():
    email, execute = load_connector("email"), load_connector("postgres").actions["execute"]
    keys = {"connector": "email", "host": "mail.example.com"}
    mail = {"to": "b@example.com", "subject": "x", "text": "y"}
    with_sender = email.settings_model.model_validate({**keys, "sender": "a@example.com"})
    assert email.actions["send"].check(mail, with_sender) == []
    (mistake,) = email.actions["send"].check(mail, email.settings_model.model_validate(keys))
    assert mistake.message == "sender is missing, here and in the destination"
    database = {"connector": "postgres", "dsn_env": "DSN", "statements": {"paid": "UPDATE t SET paid = true"}}
    settings = load_connector("postgres").settings_model.model_validate(database)
    assert execute.check({"statement": "paid"}, settings) == []
    assert execute.check({"statement": "{{ body.statement }}"}, settings) == []
    (mistake,) = execute.check({"statement": "payd"}, settings)
    assert mistake.message == "the destination has no statement 'payd'"
