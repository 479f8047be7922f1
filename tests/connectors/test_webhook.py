"""Outgoing webhooks are what Headrace itself would accept from a source of the scheme ``standard``."""

import base64
import time

import pytest

from connectors.actions.webhook import sign, signing_keys
from ingest.scheme import load_scheme
from ingest.signature import SignedRequest
from tests.connectors.examples.webhook import SECRETS


async def send(destination, **parameters):
    async def go():
        pass

    return await destination.call("send", parameters, idempotency_key="5f" * 32, before_attempt=go)


def test_the_signature_is_that_of_the_specification():
    # The example of the specification's reference libraries.
    key = signing_keys("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', key)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_with_a_type_the_body_is_the_recommended_one(service, open_destination):
    keys = {"base_url": service.base_url, "secret_env": "S"}
    destination = await open_destination("webhook", keys, secrets=SECRETS, unix_time=lambda: 1_700_000_000.9)
    await send(destination, payload={"id": 7}, type="order.paid")
    body = b'{"type":"order.paid","timestamp":"2023-11-14T22:13:20Z","data":{"id":7}}'
    assert service.received[0].body == body
    assert service.received[0].header("webhook-timestamp") == "1700000000"


async def test_a_retry_is_signed_anew_with_the_same_id(service, open_destination):
    service.answer(503)
    service.answer(200)
    times = iter(range(1_700_000_000, 1_700_001_000, 10))
    keys = {"base_url": service.base_url, "secret_env": "S", "retry": {"attempts": 2, "backoff_s": [0.001, 0.002]}}
    destination = await open_destination("webhook", keys, secrets=SECRETS, unix_time=lambda: next(times))
    await send(destination, payload=None)
    first, second = service.received
    assert first.header("webhook-id") == second.header("webhook-id") == "5f" * 32
    assert first.header("webhook-timestamp") != second.header("webhook-timestamp")
    assert first.header("webhook-signature") != second.header("webhook-signature")


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_%%%", "whsec_" + base64.b64encode(b"short").decode(), "x" * 200]
)
async def test_a_secret_that_is_none_stops_the_start(secret, open_destination):
    keys = {"base_url": "http://127.0.0.1:1", "secret_env": "S"}
    with pytest.raises(ValueError, match="signing secret") as caught:
        await open_destination("webhook", keys, secrets={"secret_env": secret})
    assert secret == "" or secret not in str(caught.value)


async def test_the_scheme_standard_accepts_it_with_each_of_the_secrets(service, open_destination):
    destination = await open_destination("webhook", {"base_url": service.base_url, "secret_env": "S"}, secrets=SECRETS)
    await send(destination, payload={"id": 7})
    (received,) = service.received
    headers = tuple((name.lower().encode(), value.encode()) for name, value in received.headers)
    request = SignedRequest("POST", "/", headers, received.body)
    for secret in SECRETS["secret_env"].split():
        load_scheme("standard").verify()(request, secret=secret.encode(), now_s=time.time())
