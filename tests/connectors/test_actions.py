"""What is particular to one action; what all promise is in test_conformance.py."""

import pytest
import structlog

from connectors.errors import PermanentError


async def send(destination, action, **parameters):
    async def go():
        pass

    return await destination.call(action, parameters, idempotency_key="5f" * 32, before_attempt=go)


@pytest.fixture
async def crm(service, open_destination):
    keys = {"base_url": service.base_url + "/api/", "headers": {"X-Team": "billing"}, "retry": {"attempts": 1}}
    return await open_destination("http", keys)


@pytest.mark.parametrize(
    ("parameters", "content_type", "body"),
    [
        ({"json": {"a": 1}}, "application/json", b'{"a":1}'),
        ({"form": {"a": "x y", "b": [1, 2]}}, "application/x-www-form-urlencoded", b"a=x+y&b=1&b=2"),
        ({"body": "ü"}, "text/plain; charset=utf-8", "ü".encode()),
        ({"body": "<a/>", "headers": {"Content-Type": "application/xml"}}, "application/xml", b"<a/>"),
        ({}, None, b""),
    ],
)
async def test_http_sends_json_a_form_or_a_body(crm, service, parameters, content_type, body):
    await send(crm, "request", path="/a b", query={"q": "ü"}, **parameters)
    (request,) = service.received
    assert (request.method, request.path, request.body) == ("POST", "/api/a%20b?q=%C3%BC", body)
    assert request.header("x-team") == "billing"
    assert request.header("content-type") == content_type or content_type is None


@pytest.mark.parametrize(
    "parameters",
    [
        {"path": "/../admin"},
        {"path": "/%2e%2e/admin"},
        {"path": "//evil.example/x"},
        {"path": "https://evil.example/x"},
        {"path": "/x\r\nEvil: 1"},
        {"headers": {"X-A": "1\r\nEvil: 1"}},
        {"headers": {"X-A\r\nEvil": "1"}},
        {"headers": {"X-A": "ü"}},
        {"headers": {"Host": "evil.example"}},
        {"headers": {"Idempotency-Key": "x"}},
        {"json": {}, "body": "x"},
        {"json": {"a": 2**70}},
        {"body": "\ud800"},
        {"query": {"a": "\ud800"}},
        {"method": "TRACE"},
    ],
)
async def test_http_sends_nothing_that_is_unsafe_or_makes_no_sense(crm, service, parameters):
    with pytest.raises(PermanentError) as caught:
        await send(crm, "request", **parameters)
    assert caught.value.status is None
    assert service.received == []


async def test_http_explains_a_refusal_in_the_words_of_the_service_and_nothing_else_of_the_body(crm, service):
    service.answer(422, body=b'{"error": {"code": "bad_email", "message": "no such\\u0000 address"}, "card": "4242"}')
    with pytest.raises(PermanentError, match=r"422.*bad_email: no such address") as caught:
        await send(crm, "request")
    assert "4242" not in str(caught.value)


async def test_http_takes_a_success_whose_body_breaks_off_for_one(crm, service):
    service.answers = [service.break_off]
    assert (await send(crm, "request")).status == 200


async def test_http_reads_no_more_of_an_answer_than_its_bound(crm, service):
    service.answer(200, body=b"x" * 3_000_000)
    answer = await crm._session.client("key").request("GET", "/")
    assert (len(answer.body), answer.truncated) == (1024 * 1024, True)


async def test_http_keeps_no_cookies_and_reads_no_proxy(crm, service, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    service.answer(200, headers={"Set-Cookie": "a=b"})
    await send(crm, "request")
    await send(crm, "request")
    assert service.received[1].header("cookie") is None


async def test_log_shows_the_rendered_fields(open_destination):
    log = await open_destination("log", {})
    with structlog.testing.capture_logs() as lines:
        await send(log, "write", message="paid", event="kept apart", cents=5)
        await send(log, "write", big="x" * 100_000)
    lines = [line for line in lines if line["event"] == "action_log_write"]
    assert lines[0]["event"] == "action_log_write"
    assert lines[0]["destination"] == "shop"
    assert lines[0]["message"] == "paid"
    assert lines[0]["fields"] == {"event": "kept apart", "cents": 5}
    assert len(lines[1]["fields"]) < 20_000
