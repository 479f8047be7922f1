"""What every action of every connector promises. A new file in ``connectors/actions/`` is tested by its being there.

It needs a file of the same name in ``tests/connectors/examples/``.
"""

import asyncio
import gzip
import importlib
import inspect
import logging
import re
import tempfile
import time
from email.utils import formatdate
from pathlib import Path

import pytest
import structlog

from connectors.connector import Call, DestinationSettings
from connectors.errors import (
    CredentialsRefused,
    PermanentError,
    RateLimited,
    TimeoutExceeded,
    TransientError,
    Unreachable,
)
from connectors.registry import connector_names, load_connector

KEY = "5f" * 32
ONCE = {"attempts": 1}
ACTIONS = [(name, action) for name in connector_names() for action in load_connector(name).actions]
EXAMPLES = {name: importlib.import_module(f"tests.connectors.examples.{name}") for name in connector_names()}


def speaks_http(name, folder):
    model = load_connector(name).settings_model
    keys = EXAMPLES[name].settings("http://127.0.0.1:1", folder)
    return model.model_validate({"connector": name, **keys}).endpoint(EXAMPLES[name].SECRETS) is not None


@pytest.fixture
async def acting(service, open_destination, tmp_path):
    """Return a function that opens a connector's destination at the service, and one that calls an action of it."""

    async def open_at_service(name, **keys):
        example = EXAMPLES[name]
        own = {"retry": ONCE, **example.settings(service.base_url, tmp_path), **keys}
        return await open_destination(name, own, secrets=example.SECRETS)

    return open_at_service


async def call(destination, name, action, before=None):
    async def go():
        pass

    parameters = EXAMPLES[name].PARAMETERS[action]
    return await destination.call(action, parameters, idempotency_key=KEY, before_attempt=before or go)


with tempfile.TemporaryDirectory() as folder:
    HTTP_ACTIONS = [(name, action) for name, action in ACTIONS if speaks_http(name, Path(folder))]

every_action = pytest.mark.parametrize(("name", "action"), ACTIONS)
every_http_action = pytest.mark.parametrize(("name", "action"), HTTP_ACTIONS)


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
    assert hints["return"] is None
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
    assert set(settings.secret_envs()) == set(EXAMPLES[name].SECRETS)
    assert "timeout_s" in model.model_json_schema()["properties"]
    with pytest.raises(ValueError, match="surely_unknown"):
        model.model_validate({"connector": name, **keys, "surely_unknown": 1})


@every_action
async def test_it_succeeds(name, action, acting):
    settled = await call(await acting(name), name, action)
    assert settled.attempts == 1


@every_action
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
    service.answer(200)
    destination = await acting(name, retry={"attempts": 2, "backoff_s": [0.001, 0.002]})
    settled = await call(destination, name, action)
    assert settled.attempts == len(service.received) == 2
    assert {request.header("idempotency-key") for request in service.received} == {KEY}
    for secret in EXAMPLES[name].SECRETS.values():
        assert all(any(secret in value for _, value in request.headers) for request in service.received)


@every_http_action
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, PermanentError),
        (400, PermanentError),
        (401, CredentialsRefused),
        (403, CredentialsRefused),
        (404, PermanentError),
        (408, TransientError),
        (409, TransientError),
        (425, TransientError),
        (429, RateLimited),
        (500, TransientError),
        (503, TransientError),
    ],
)
async def test_what_an_answer_means(name, action, status, kind, acting, service):
    service.answer(status, headers={"Location": service.base_url + "/elsewhere"})
    with pytest.raises(kind) as caught:
        await call(await acting(name), name, action)
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.attempts) == (status, 1)
    assert len(service.received) == 1


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
    service.answer(200, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 40)})
    destination = await acting(name)
    await call(destination, name, action)
    assert destination.limiter.blocked_s == pytest.approx(40, abs=2)


@every_http_action
@pytest.mark.parametrize("status", [200, 500])
async def test_a_huge_answer_is_not_read_whole(name, action, status, acting, service):
    service.answer(status, body=b"x" * 20_000_000)
    destination = await acting(name)
    (result,) = await asyncio.gather(call(destination, name, action), return_exceptions=True)
    if isinstance(result, Exception):
        # An action that needs the answer cannot read this one.
        assert isinstance(result, TransientError)
        assert status == 500 or "JSON" in str(result)
        assert len(str(result)) < 1000


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
    destination = await open_destination(name, {"retry": ONCE, **keys}, secrets=EXAMPLES[name].SECRETS)
    with pytest.raises(Unreachable, match="reached"):
        await call(destination, name, action)


@every_http_action
@pytest.mark.parametrize("way", ["hang", "drip"])
async def test_a_call_is_bounded_in_all(name, action, way, acting, service):
    service.answers = [getattr(service, way)]
    destination = await acting(name, timeout_s=0.3)
    started_s = time.monotonic()
    with pytest.raises(TimeoutExceeded):
        await call(destination, name, action)
    assert time.monotonic() - started_s < 2
    assert destination.in_flight == 0


@every_http_action
async def test_a_cancelled_call_leaks_no_slot(name, action, acting, service):
    service.answers = [service.hang]
    destination = await acting(name, concurrency=2)
    for _ in range(3):
        tasks = [asyncio.create_task(call(destination, name, action)) for _ in range(5)]
        await asyncio.sleep(0.05)
        assert destination.in_flight == 2
        for task in tasks:
            task.cancel()
        assert all(isinstance(r, asyncio.CancelledError) for r in await asyncio.gather(*tasks, return_exceptions=True))
        assert destination.in_flight == 0
    service.answers = []
    await asyncio.wait_for(asyncio.gather(*(call(destination, name, action) for _ in range(4))), 5)


@every_http_action
async def test_no_secret_is_shown(name, action, acting, service, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    secrets = list(EXAMPLES[name].SECRETS.values())
    shown = []
    destination = await acting(name, circuit={"failures": 1})
    with structlog.testing.capture_logs() as lines:
        for status in (400, 401, 429, 500):
            destination = await acting(name, circuit={"failures": 1})
            service.answers = []
            service.answer(status, body=b'{"error": "you sent ' + "".join(secrets).encode() + b'"}')
            with pytest.raises(Exception) as caught:  # noqa: PT011  whatever it is
                await call(destination, name, action)
            error = caught.value
            while error is not None:
                shown += [str(error), repr(error)]
                error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    shown += [str(lines), caplog.text, repr(destination), repr(destination._session.client(KEY))]
    shown.append(
        repr(Call(destination._session.client(KEY), destination.settings, KEY, "shop", dict.fromkeys(secrets)))
    )
    for secret in secrets:
        assert not any(secret in text for text in shown)
