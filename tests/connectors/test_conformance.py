"""What every action of every connector promises. A new file in ``connectors/actions/`` is tested by its being there.

It needs a file of the same name in ``tests/connectors/examples/``.
"""

import asyncio
import gzip
import importlib
import inspect
import json
import logging
import re
import tempfile
import time
from email.utils import formatdate
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import structlog

from connectors.connector import Call, DestinationSettings
from connectors.errors import (
    CallError,
    CredentialsRefused,
    PermanentError,
    RateLimited,
    TimeoutExceeded,
    TransientError,
    Unreachable,
)
from connectors.registry import connector_names, load_connector
from tests.connectors.examples import Said

KEY = "5f" * 32
ONCE = {"attempts": 1}
ACTIONS = [(name, action) for name in connector_names() for action in load_connector(name).actions]
EXAMPLES = {name: importlib.import_module(f"tests.connectors.examples.{name}") for name in connector_names()}
JUNK = (
    b"",
    b"<html>sign in</html>",
    b"[]",
    b"null",
    b'"text"',
    b'{"id": {}, "ok": []}',
    b'{"id": ',
    b"\xff\xfe",
    b"1e999",
)


def secrets_of(name, base_url):
    example = EXAMPLES[name]
    return example.secrets(base_url) if hasattr(example, "secrets") else example.SECRETS


def given(name, what, action=None, default=None):
    """Return what the example of a connector says about it, or about one of its actions."""
    found = getattr(EXAMPLES[name], what, {} if action else default)
    return found.get(action, default) if action else found


def speaks_http(name, folder):
    model = load_connector(name).settings_model
    keys = EXAMPLES[name].settings("http://127.0.0.1:1", folder)
    settings = model.model_validate({"connector": name, **keys})
    return settings.endpoint(secrets_of(name, "http://127.0.0.1:1")) is not None


@pytest.fixture
async def acting(service, open_destination, tmp_path):
    """Return a function that opens a connector's destination at the service."""

    async def open_at_service(name, **keys):
        service.aside = given(name, "ASIDE", default={})
        example = EXAMPLES[name]
        own = {"retry": ONCE, "rate": None, **example.settings(service.base_url, tmp_path), **keys}
        return await open_destination(name, own, secrets=secrets_of(name, service.base_url))

    return open_at_service


def succeed(service, name, action):
    """Let the service answer as it does to a call that it accepts."""
    said = given(name, "ANSWERS", action, Said())
    service.answer(said.status, headers=said.headers, body=said.raw)


async def call(destination, name, action, before=None):
    async def go():
        pass

    parameters = EXAMPLES[name].PARAMETERS[action]
    return await destination.call(action, parameters, idempotency_key=KEY, before_attempt=before or go)


def shown_by(error):
    """Return everything that an exception would show, with what led to it."""
    shown = []
    while error is not None:
        shown += [str(error), repr(error), getattr(error, "excerpt", "")]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return shown


with tempfile.TemporaryDirectory() as folder:
    HTTP_ACTIONS = [(name, action) for name, action in ACTIONS if speaks_http(name, Path(folder))]
LOCAL_ACTIONS = [(name, action) for name, action in ACTIONS if name in ("log", "python")]
# The others speak protocols of their own: test_peers.py, and a file for each.
REFUSALS = [(name, said) for name in connector_names() for said in given(name, "REFUSALS", default=[])]

every_action = pytest.mark.parametrize(("name", "action"), ACTIONS)
every_http_action = pytest.mark.parametrize(("name", "action"), HTTP_ACTIONS)
every_local_action = pytest.mark.parametrize(("name", "action"), LOCAL_ACTIONS)
every_action_without_a_peer = pytest.mark.parametrize(("name", "action"), [*HTTP_ACTIONS, *LOCAL_ACTIONS])
every_documented_refusal = pytest.mark.parametrize(
    ("name", "said"), REFUSALS, ids=[f"{name}-{said.status}-{number}" for number, (name, said) in enumerate(REFUSALS)]
)


def test_there_are_connectors_and_each_has_actions():
    assert {"http", "log", "python"} <= set(connector_names())
    assert {name for name, _ in ACTIONS} == set(connector_names())


@every_action
def test_its_docstring_names_the_delivery_guarantee_first(name, action):
    doc = load_connector(name).actions[action].doc
    first = re.split(r"\n\n", doc)[0].replace("\n", " ")
    assert re.search(r"\bat (least|most) once\b|\bexactly once\b", first), first


@every_action
def test_its_signature_is_typed(name, action):
    function = load_connector(name).actions[action].call
    assert inspect.iscoroutinefunction(function)
    hints = inspect.get_annotations(function, eval_str=True)
    first, *others = inspect.signature(function).parameters.values()
    assert hints[first.name] is Call
    assert hints["return"] in (None, str, str | None)
    for parameter in others:
        assert parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD), parameter
        assert parameter.name in hints


@every_action
def test_its_parameters_are_checked_and_described(name, action, tmp_path):
    chosen = load_connector(name).actions[action]
    example = EXAMPLES[name].PARAMETERS[action]
    assert chosen.check(example) == []
    assert set(example) <= set(chosen.read(example))
    assert chosen.parameters.model_json_schema()["type"] == "object"
    unknown = chosen.check({**example, "surely_unknown": 1})
    free = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(chosen.call).parameters.values())
    assert [mistake.path for mistake in unknown] == ([] if free else [("surely_unknown",)])


@pytest.mark.parametrize("name", connector_names())
def test_its_settings_refuse_unknown_keys_and_have_a_schema(name, tmp_path):
    model = load_connector(name).settings_model
    assert issubclass(model, DestinationSettings)
    keys = EXAMPLES[name].settings("http://127.0.0.1:1", tmp_path)
    settings = model.model_validate({"connector": name, **keys})
    assert set(settings.secret_envs()) == set(secrets_of(name, "http://127.0.0.1:1"))
    assert "timeout_s" in model.model_json_schema()["properties"]
    with pytest.raises(ValueError, match="surely_unknown"):
        model.model_validate({"connector": name, **keys, "surely_unknown": 1})


@every_local_action
async def test_it_succeeds(name, action, acting):
    settled = await call(await acting(name), name, action)
    assert settled.attempts == 1


@every_http_action
async def test_it_calls_as_its_service_documents_and_takes_its_answer(name, action, acting, service):
    succeed(service, name, action)
    settled = await call(await acting(name), name, action)
    assert settled.attempts == 1
    assert settled.made == given(name, "MADE", action, "")
    (request,) = service.received
    if sent := given(name, "SENT", action):
        method, path, body = sent
        assert (request.method, request.path) == (method, path)
        assert body == (request.body if isinstance(body, bytes) else json.loads(request.body))


@every_documented_refusal
async def test_what_a_documented_refusal_means(name, said, acting, service):
    service.answer(said.status, headers=said.headers, body=said.raw)
    action = next(iter(load_connector(name).actions))
    destination = await acting(name)
    with pytest.raises(said.kind, match=re.escape(said.says) if said.says else None) as caught:
        await call(destination, name, action)
    assert type(caught.value) is said.kind, repr(caught.value)
    if said.wait_s is not None:
        assert caught.value.retry_after_s == pytest.approx(said.wait_s, abs=2)
        assert destination.limiter.blocked_s == pytest.approx(said.wait_s, abs=2)


@every_http_action
async def test_a_body_that_is_not_what_was_promised(name, action, acting, service):
    destination = await acting(name, circuit={"failures": 1000})
    for junk in JUNK:
        for status in (200, 400, 429, 500):
            service.answers = []
            service.answer(status, body=junk)
            (result,) = await asyncio.gather(call(destination, name, action), return_exceptions=True)
            if status == 200 and not isinstance(result, Exception):
                assert result.attempts == 1
            else:  # an action that needs the answer does not know what became of its call
                assert isinstance(result, PermanentError if status == 400 else TransientError), (junk, result)
                assert "raised" not in str(result)
            destination.limiter.block_for(0)
            destination.limiter._blocked_until_s = 0


@every_action_without_a_peer
async def test_it_is_abandoned_before_it_is_called(name, action, acting, service):
    class Revoked(Exception):
        pass

    async def revoked():
        raise Revoked

    destination = await acting(name, concurrency=1)
    for _ in range(3):
        with pytest.raises(Revoked):
            await call(destination, name, action, revoked)
    assert service.received == []
    assert destination.in_flight == 0


@every_http_action
async def test_every_attempt_carries_key_and_credential(name, action, acting, service):
    service.answer(503)
    succeed(service, name, action)
    destination = await acting(name, retry={"attempts": 2, "backoff_s": [0.001, 0.002]})
    settled = await call(destination, name, action)
    assert settled.attempts == len(service.received) == 2
    assert {request.header("idempotency-key") for request in service.received} == {KEY}
    is_authentic = given(name, "is_authentic")
    for request in service.received:
        if is_authentic is not None:
            assert is_authentic(request)
        else:
            whole = str([service.base_url + request.path, request.headers])
            assert all(secret in whole for secret in secrets_of(name, service.base_url).values())


MEANINGS = {
    302: PermanentError,
    400: PermanentError,
    401: CredentialsRefused,
    403: CredentialsRefused,
    404: PermanentError,
    408: TransientError,
    409: TransientError,
    425: TransientError,
    429: RateLimited,
    500: TransientError,
    503: TransientError,
}


@every_http_action
@pytest.mark.parametrize("status", list(MEANINGS))
async def test_what_an_answer_means(name, action, status, acting, service):
    kind = {**MEANINGS, **given(name, "MEANINGS", default={})}[status]
    service.answer(status, headers={"Location": "http://127.0.0.2:1/elsewhere"})
    with pytest.raises(kind) as caught:
        await call(await acting(name), name, action)
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.attempts) == (status, 1)
    # A credential that was fetched and is refused is fetched anew, once.
    assert len(service.received) == (2 if status == 401 and service.aside else 1)


@every_http_action
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_it_is_told_when_to_come_again(name, action, status, form, acting, service):
    service.answer(
        status, headers={"Retry-After": "40" if form == "seconds" else formatdate(time.time() + 41, usegmt=True)}
    )
    destination = await acting(name)
    with pytest.raises(TransientError) as caught:
        await call(destination, name, action)
    assert caught.value.retry_after_s == pytest.approx(40, abs=2)
    assert destination.limiter.blocked_s == pytest.approx(40, abs=2)


@every_http_action
async def test_a_quota_used_up_by_a_success_holds_the_destination(name, action, acting, service):
    said = given(name, "ANSWERS", action, Said())
    limits = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 40)}
    service.answer(said.status, headers={**said.headers, **limits}, body=said.raw)
    destination = await acting(name)
    await call(destination, name, action)
    assert destination.limiter.blocked_s == pytest.approx(40, abs=2)


@every_http_action
@pytest.mark.parametrize("status", [200, 500])
async def test_an_answer_of_100_mib_is_not_read_whole(name, action, status, acting, service):
    service.flood_status = status
    service.answers = [service.flood]
    (result,) = await asyncio.gather(call(await acting(name), name, action), return_exceptions=True)
    assert service.flooded_bytes < 50 * 1024 * 1024
    if isinstance(result, Exception):
        assert isinstance(result, TransientError)
        assert len(str(result)) < 1000
    else:
        assert status == 200


@every_http_action
async def test_an_inflated_answer_is_not_inflated(name, action, acting, service):
    service.answer(422, headers={"Content-Encoding": "gzip"}, body=gzip.compress(b'{"error":"' + b"x" * 50_000_000))
    with pytest.raises(PermanentError) as caught:
        await call(await acting(name), name, action)
    assert len(str(caught.value)) < 1000
    assert service.received[0].header("accept-encoding") == "identity"


@every_http_action
async def test_a_broken_connection_is_transient(name, action, acting, service):
    service.answers = [service.reset]
    with pytest.raises(Unreachable):
        await call(await acting(name), name, action)
    assert len(service.received) == 1


@every_http_action
async def test_no_connection_is_transient(name, action, open_destination, tmp_path, unused_tcp_port):
    keys = EXAMPLES[name].settings(f"http://127.0.0.1:{unused_tcp_port}", tmp_path)
    secrets = secrets_of(name, f"http://127.0.0.1:{unused_tcp_port}")
    destination = await open_destination(name, {"retry": ONCE, "rate": None, **keys}, secrets=secrets)
    with pytest.raises(Unreachable, match="reached"):
        await call(destination, name, action)


@every_http_action
@pytest.mark.parametrize("way", ["hang", "drip"])
async def test_a_call_is_bounded_in_all(name, action, way, acting, service):
    service.answers = [getattr(service, way)]
    destination = await acting(name, timeout_s=0.2)
    started_s = time.monotonic()
    with pytest.raises(TimeoutExceeded):
        await call(destination, name, action)
    assert time.monotonic() - started_s < 30
    assert destination.in_flight == 0


@every_http_action
async def test_a_cancelled_call_leaks_no_slot(name, action, acting, service):
    service.answers = [service.hang]
    destination = await acting(name, concurrency=2)
    for round_number in range(3):
        tasks = [asyncio.create_task(call(destination, name, action)) for _ in range(5)]
        async with asyncio.timeout(30):
            while len(service.received) < 2 * (round_number + 1):
                await asyncio.sleep(0.01)
        assert destination.in_flight == 2
        for task in tasks:
            task.cancel()
        assert all(isinstance(r, asyncio.CancelledError) for r in await asyncio.gather(*tasks, return_exceptions=True))
        assert destination.in_flight == 0
    service.answers = []
    succeed(service, name, action)
    await asyncio.wait_for(asyncio.gather(*(call(destination, name, action) for _ in range(4))), 30)


@every_http_action
async def test_no_secret_is_shown(name, action, acting, service, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    secrets = list(secrets_of(name, service.base_url).values())
    markers = [*secrets, *(urlsplit(secret).path for secret in secrets if secret.startswith("http"))]
    shown = []
    destination = await acting(name)
    with structlog.testing.capture_logs() as lines:
        for status in (400, 401, 429, 500):
            destination = await acting(name, circuit={"failures": 1})
            service.answers = []
            service.answer(status, body=b'{"error": "you sent ' + " ".join(markers).encode() + b'"}')
            with pytest.raises(CallError) as caught:
                await call(destination, name, action)
            shown += shown_by(caught.value)
    client = destination._session.client(KEY)
    shown += [str(lines), caplog.text, repr(destination), repr(client), repr(destination.settings)]
    shown += [repr(Call(client, destination.settings, KEY, "shop", dict.fromkeys(secrets, "")))]
    shown += [repr(destination.settings.endpoint(secrets_of(name, service.base_url)))]
    for marker in markers:
        assert not any(marker in text for text in shown)
