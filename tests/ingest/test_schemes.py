"""Vectors that the providers, or the makers of their libraries, published."""

from __future__ import annotations

import json

import pytest

from ingest.scheme import Handshake, Identity, MalformedEvent, load_scheme
from ingest.signature import InvalidSignature, SignedRequest, require_fresh
from tests.ingest.conftest import NOW_S, make_source, request_of, secret_of, signed_request

# docs.github.com, "Validating webhook deliveries", "Testing the webhook payload validation".
GITHUB = (
    "It's a Secret to Everybody",
    b"Hello, World!",
    "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
)
# docs.slack.dev, "Verifying requests from Slack", the worked example.
SLACK_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
SLACK_SIGNATURE = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
# docs.svix.com, "Verifying webhooks manually"; also in the tests of the Standard Webhooks libraries.
SVIX_SECRET, SVIX_BODY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
SVIX = {
    "id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "timestamp": "1614265330",
    "signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
# github.com/stripe/stripe-dotnet, src/StripeTests: EventUtilityTest and its event_test_signature.json, secret
# "webhook_secret"; v0 there is the signature with another key.
STRIPE_BODY = json.dumps(
    {
        "id": "evt_123", "object": "event", "account": "acct_123", "api_version": "2017-05-25", "created": 1533204620,
        "data": {"object": {
            "id": "cus_123", "object": "customer", "created": 123456789, "email": "test@stripe.com",
            "livemode": False, "metadata": {},
        }},
        "livemode": False, "pending_webhooks": 1,
        "request": {"id": "req_123", "idempotency_key": "idempotency-key-123"}, "type": "customer.created",
    },
    indent=2,
).encode() + b"\n"  # fmt: skip
STRIPE_V1 = "2220f87ef101a04665f11cdf770523143f875572008577fa0f20882ddb9cc3c7"
STRIPE_V0 = "63f3a72374a733066c4be69ed7f8e5ac85c22c9f0a6a612ab9a025a9e4ee7eef"


def test_githubs_vector() -> None:
    secret, body, signature = GITHUB
    source = make_source("github", secrets=[secret.encode()])
    source.verify(request_of(body, {"X-Hub-Signature-256": f"sha256={signature}"}), now_s=0)
    for wrong in (signature, f"sha1={signature}", f"sha256={signature.upper()}", f"sha256= {signature}"):
        with pytest.raises(InvalidSignature):
            source.verify(request_of(body, {"X-Hub-Signature-256": wrong}), now_s=0)


def test_slacks_vector() -> None:
    source = make_source("slack", secrets=[SLACK_SECRET.encode()])
    headers = {"X-Slack-Request-Timestamp": "1531420618", "X-Slack-Signature": SLACK_SIGNATURE}
    source.verify(request_of(SLACK_BODY, headers), now_s=1531420618 + 60)
    with pytest.raises(InvalidSignature, match="old"):
        source.verify(request_of(SLACK_BODY, headers), now_s=1531420618 + 3600)


@pytest.mark.parametrize("family", ["webhook", "svix"])
def test_svixs_vector(family: str) -> None:
    headers = {f"{family}-{key}": value for key, value in SVIX.items()}
    for secret in (SVIX_SECRET, SVIX_SECRET.removeprefix("whsec_")):
        source = make_source("standard", secrets=[secret.encode()])
        request = request_of(SVIX_BODY, headers)
        source.verify(request, now_s=1614265330)
        assert source.identify(request, {}) == Identity(SVIX["id"], None, id_signed=True)
        several = {**headers, f"{family}-signature": f"v1a,AAAA v1,xyz {SVIX['signature']}"}
        source.verify(request_of(SVIX_BODY, several), now_s=1614265330)


def test_stripes_vector() -> None:
    source = make_source("stripe", secrets=[b"webhook_secret"])
    request = request_of(STRIPE_BODY, {"Stripe-Signature": f"t=1533204620,v1={STRIPE_V1},v0={STRIPE_V0}"})
    source.verify(request, now_s=1533204720)
    assert source.identify(request, json.loads(STRIPE_BODY)) == Identity("evt_123", "customer.created", id_signed=True)


@pytest.mark.parametrize(
    "header",
    [
        f"t=1533204620,v0={STRIPE_V1}",
        f"v1={STRIPE_V1}",
        f"t=1533204620,t=1533204620,v1={STRIPE_V1}",
        f"t=1533204621,v1={STRIPE_V1}",
        f"t= 1533204620,v1={STRIPE_V1}",
        f"t=+1533204620,v1={STRIPE_V1}",
        f"t=1_533204620,v1={STRIPE_V1}",
        "t=1533204620",
        "t=1533204620,v1=",
        ",".join(["t=1533204620", *["v1=00"] * 60, f"v1={STRIPE_V1}"]),
    ],
)
def test_stripes_header_is_read_strictly(header: str) -> None:
    with pytest.raises(InvalidSignature):
        make_source("stripe", secrets=[b"webhook_secret"]).verify(
            request_of(STRIPE_BODY, {"Stripe-Signature": header}), now_s=1533204720
        )


def test_several_stripe_signatures_during_a_rotation() -> None:
    source = make_source("stripe", secrets=[b"webhook_secret"])
    header = f"t=1533204620,v1={'0' * 64},v1={STRIPE_V1}"
    source.verify(request_of(STRIPE_BODY, {"Stripe-Signature": header}), now_s=1533204720)


def test_shopify_signs_in_base64() -> None:
    # Shopify publishes no vector; this one was made with: openssl dgst -sha256 -hmac shop-secret -binary | base64
    source = make_source("shopify", secrets=[b"shop-secret"])
    headers = {
        "X-Shopify-Hmac-Sha256": "plW8VGqq0nDMIEhDqaNNW99asdUCy7EIqLZVcQwtAZ0=",
        "X-Shopify-Topic": "orders/paid",
    }
    request = request_of(b'{"id":1}', {**headers, "X-Shopify-Webhook-Id": "b54557e4"})
    source.verify(request, now_s=0)
    assert source.identify(request, {"id": 1}) == Identity("b54557e4", "orders/paid", id_signed=False)


def test_items_of_a_zendesk_list_are_events_of_one_invocation() -> None:
    source = make_source("zendesk")
    item: dict[str, object] = {"id": 35436, "subject": "a ticket"}  # its id stays the same when it changes
    own: dict[str, object] = {"zendesk_event_version": "2022-06-20", "id": "e-1", "type": "zen:event-type:user.created"}
    items = source.items([item, item, own])
    assert items is not None

    def ids(invocation: str) -> list[str]:
        request = request_of(b"[...]", {"X-Zendesk-Webhook-Invocation-Id": invocation})
        return [event.dedup_id for event in source.events(request, items, time_ms=0)]

    first = ids("i-1")
    assert first == ids("i-1")  # a retry
    assert len(set(first)) == 3
    assert set(first) & set(ids("i-2")) == {"e-1"}
    assert source.items(item) is None


def test_docusign_sends_a_signature_for_each_of_its_keys() -> None:
    source = make_source("docusign", secrets=[b"new"])
    body, signature = b'{"event":"envelope-sent"}', "eL1tR5BPHM+1Me/o63BPG9g1gzDBA0bK2cGmuchk14o="
    of_old = {"X-DocuSign-Signature-1": "ofanotherkey="}
    source.verify(request_of(body, of_old | {"X-DocuSign-Signature-2": signature}), now_s=0)
    source.verify(request_of(body, {"X-DocuSign-Signature-100": signature}), now_s=0)
    for name in (
        "X-DocuSign-Signature",
        "X-DocuSign-Signature-0",
        "X-DocuSign-Signature-01",
        "X-DocuSign-Signature-2x",
    ):
        with pytest.raises(InvalidSignature):
            source.verify(request_of(body, of_old | {name: signature}), now_s=0)
    repeated = request_of(body, {"X-DocuSign-Signature-1": signature, "x-docusign-signature-1": signature})
    with pytest.raises(InvalidSignature):
        source.verify(repeated, now_s=0)


def test_two_events_of_one_recurly_account_are_two() -> None:
    source = make_source("recurly")
    bodies = [
        {"id": "rjxwmwedwqug", "object_type": "account", "event_type": "updated", "event_time": time}
        for time in ("2022-09-13T21:18:40Z", "2022-09-13T21:19:40Z")
    ]
    events = [
        source.event(
            request_of(json.dumps(body).encode(), {}),
            body,
            content_type="application/json",
            content_encoding="",
            time_ms=0,
        )
        for body in bodies
    ]
    assert [event.type for event in events] == ["account.updated"] * 2
    assert events[0].dedup_id != events[1].dedup_id


def test_slacks_handshake_comes_from_the_body() -> None:
    handshake = load_scheme("slack").handshake()
    assert handshake is not None
    request, given = SignedRequest("POST", "/", (), b""), {"secret": b"s", "now_s": NOW_S}
    expected = Handshake(b"3eZ", "text/plain; charset=utf-8")
    assert handshake(request, {"type": "url_verification", "challenge": "3eZ"}, **given) == expected
    assert handshake(request, {"type": "event_callback", "challenge": "3eZ"}, **given) is None
    assert handshake(request, [1], **given) is None
    with pytest.raises(MalformedEvent):
        handshake(request, {"type": "url_verification", "challenge": 7}, **given)


def test_slacks_type_is_the_inner_events() -> None:
    source = make_source("slack")
    body = {"type": "event_callback", "event_id": "Ev1", "event": {"type": "app_mention"}}
    assert source.identify(request_of(b"", {}), body) == Identity("Ev1", "app_mention", id_signed=True)
    assert source.identify(request_of(b"", {}), {"command": "/x"}) == Identity(None, None, id_signed=True)


def test_standard_refuses_what_could_be_read_two_ways() -> None:
    source = make_source("standard")
    both = {**{f"webhook-{k}": v for k, v in SVIX.items()}, **{f"svix-{k}": v for k, v in SVIX.items()}}
    with pytest.raises(InvalidSignature):
        source.verify(request_of(SVIX_BODY, both), now_s=1614265330)
    dotted = dict(source.sign(b"{}", secret=source.secrets[0], now_s=NOW_S, event_id="msg.1"))
    with pytest.raises(InvalidSignature, match="dot"):
        source.verify(request_of(b"{}", dotted), now_s=NOW_S)


@pytest.mark.parametrize("secret", ["whsec_", "whsec_c2hvcnQ=", "whsec_not base64", "geheim", "whsec_\xff"])
def test_standard_refuses_a_secret_that_is_no_key(secret: str) -> None:
    with pytest.raises(ValueError, match="SECRET: the secret") as error:
        make_source("standard", secrets=[secret.encode()])
    assert "geheim" not in str(error.value)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512", "sha1"])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_hmacs_options(algorithm: str, encoding: str) -> None:
    options = {"header": "X-My-Sig", "prefix": "v=", "algorithm": algorithm, "encoding": encoding}
    source = make_source("hmac", **options)
    request = signed_request(source, b"{}")
    assert request.header("x-my-sig").startswith(b"v=")
    source.verify(request, now_s=0)
    with pytest.raises(InvalidSignature):
        make_source("hmac", **{**options, "prefix": ""}).verify(request, now_s=0)


def test_hmacs_hex_may_be_upper_case_and_its_prefix_may_not() -> None:
    # RFC 4231, test case 2.
    digest = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    source = make_source("hmac", secrets=[b"Jefe"], prefix="S=")
    body = b"what do ya want for nothing?"
    source.verify(request_of(body, {"X-Signature": f"S={digest.upper()}"}), now_s=0)
    with pytest.raises(InvalidSignature):
        source.verify(request_of(body, {"X-Signature": f"s={digest}"}), now_s=0)


@pytest.mark.parametrize(
    "text", [b"", b"nan", b"inf", b"1e9", b"1_0", b"-1", b"+1", b" 1", b"1 ", b"\xd9\xa1", b"1" * 13]
)
def test_a_timestamp_is_ascii_digits_alone(text: bytes) -> None:
    with pytest.raises(InvalidSignature, match="not a number"):
        require_fresh(text, now_s=NOW_S, age_s_max=300)


def test_a_header_is_found_once_by_its_lower_case_name() -> None:
    request = SignedRequest("POST", "/", ((b"a", b"1"), (b"b", b"2"), (b"b", b"2")), b"")
    assert request.header("a") == b"1"
    assert request.optional_header("c") is None
    for name in ("b", "c"):
        with pytest.raises(InvalidSignature):
            request.header(name)
    assert secret_of("github") != secret_of("github", other=True)
