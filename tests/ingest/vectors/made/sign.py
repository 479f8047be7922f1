"""Print the vectors that providers' Python packages sign or accept, and those made by openssl: see ../README.md."""

from __future__ import annotations

import base64
import importlib.metadata
import json
import subprocess
import tempfile
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

AT = 1_700_000_000
URL = "https://hooks.example.com/webhook/x"
ROWS: list[dict[str, Any]] = []
ACCEPTED_BY = {  # by whom, as whose library or sample it is; accept.* ask again those that are packages
    "asana": (
        "sdk",
        "Asana's sample receiver, github.com/Asana/devrel-examples 7f18334, python/webhooks_v5, "
        "and by n8n-nodes-base 2.41.2 (npm), AsanaTrigger",
    ),
    "calendly": ("other", "n8n-nodes-base 2.41.2 (npm), CalendlyTrigger"),
    "clickup": ("other", "n8n-nodes-base 2.41.2 (npm), ClickUpTrigger"),
    "close": ("openssl", "the Python code of the page"),
    "customerio": ("other", "n8n-nodes-base 2.41.2 (npm), CustomerIoTrigger"),
    "dropbox": ("sdk", "Dropbox's sample receiver, github.com/dropbox/mdwebhook 1b32d5a"),
    "figma": ("other", "n8n-nodes-base 2.41.2 (npm), FigmaTrigger"),
    "gitea": ("sdk", "code.gitea.io/sdk/gitea v0.25.1 (Go), VerifyWebhookSignatureMiddleware"),
    "greenhouse": ("openssl", "the PHP code of the page"),
    "heroku": ("other", "nuxt-webhook-validators 0.2.12 (npm), isValidHerokuWebhook"),
    "launchdarkly": ("other", "github.com/port-labs/ocean at 607beada, integrations/launchdarkly"),
    "mailgun": ("other", "django-anymail 15.2 (PyPI), MailgunTrackingWebhookView"),
    "meta": ("other", "pywa 4.5.0 (PyPI), webhook_updates_validator"),
    "okta": ("other", "github.com/port-labs/ocean at 607beada, integrations/okta"),
    "sentry": (
        "sdk",
        "Sentry's sample receiver, github.com/getsentry/integration-platform-example 10cf516, backend-py",
    ),
    "telegram": ("other", "n8n-nodes-base 2.41.2 (npm), TelegramTrigger"),
    "terraform": ("other", "github.com/port-labs/ocean at 607beada, integrations/terraform-cloud"),
    "trello": ("other", "n8n-nodes-base 2.41.2 (npm), TrelloTrigger"),
    "typeform": ("other", "n8n-nodes-base 2.41.2 (npm), TypeformTrigger"),
    "vercel": ("other", "nuxt-webhook-validators 0.2.12 (npm), isValidVercelWebhook"),
    "zendesk": ("other", "n8n-nodes-base 2.41.2 (npm), ZendeskTrigger"),
    "zoom": ("sdk", "@zoom/rivet 0.4.0 (npm), AwsLambdaReceiver"),
}


def openssl(secret: bytes, text: bytes, hash_name: str = "sha256") -> bytes:
    command = ["openssl", "dgst", f"-{hash_name}", "-mac", "HMAC", "-macopt", f"hexkey:{secret.hex()}", "-binary"]
    return subprocess.run(command, input=text, stdout=subprocess.PIPE, check=True).stdout


def row(scheme: str, source: str, made_by: str, secret: str, headers: dict[str, str], body: str, **more: Any) -> None:
    url = more.pop("public_url", None)
    kind = more.pop("content_type", "application/json")
    request: dict[str, Any] = {"headers": [["Content-Type", kind], *map(list, headers.items())], "body": body}
    if url is not None:
        request |= {"public_url": url, "url": url.replace("https://hooks.example.com", "")}
    known = {"event_id": None, "event_type": None, "at": AT, **more}
    start = {"scheme": scheme, "source": source, "made_by": made_by, "published": False, "secret": secret}
    ROWS.append({**start, "request": request, **known})


def package(name: str, how: str) -> str:
    return f"{name} {importlib.metadata.version(name)} (PyPI), {how}"


def ruled(scheme: str, page: str, secret: str, headers: dict[str, str], body: str, **more: Any) -> None:
    made_by, who = ACCEPTED_BY.get(scheme, ("openssl", ""))
    source = f"made with openssl from the rule in {page}" + (f", and accepted by {who}" if who else "")
    row(scheme, source, made_by, secret, headers, body, **more)


def by_packages() -> None:
    from mollie.utils.webhooks import SignatureValidator
    from paddle_billing.Notifications import PaddleSignature
    from slack_sdk.signature import Clock, SignatureVerifier
    from square.utils.webhooks_helper import verify_signature
    from telnyx.lib.webhook_verification import verify_webhook_signature

    body = '{"type":"event_callback","event_id":"Ev08MFMKH6","event":{"type":"app_mention"}}'
    verifier = SignatureVerifier("8f742231b10e8888abcd99yyyzzz85a5", Clock())
    signature = verifier.generate_signature(timestamp=str(AT), body=body) or ""
    headers = {"X-Slack-Request-Timestamp": str(AT), "X-Slack-Signature": signature}
    source = package("slack_sdk", "SignatureVerifier.generate_signature")
    row("slack", source, "sdk", verifier.signing_secret, headers, body, event_id="Ev08MFMKH6", event_type="app_mention")

    body = '{"resource":"event","id":"event_GvJ8WHrp5isUdRub9CJyH","type":"payment-link.paid"}'
    signature = "sha256=" + SignatureValidator.create_signature(body, "mollie secret")
    row(
        "mollie", package("mollie-api-py", "SignatureValidator.create_signature"), "sdk", "mollie secret",
        {"X-Mollie-Signature": signature}, body,
        event_id="event_GvJ8WHrp5isUdRub9CJyH", event_type="payment-link.paid",
    )  # fmt: skip

    body = '{"event_id":"evt_01hsdn","event_type":"transaction.completed","data":{"id":"txn_1"}}'
    signature = PaddleSignature.calculate_hmac("pdl_ntfset_1", f"{AT}:{body}".encode()).hexdigest()
    row(
        "paddle", package("paddle-python-sdk", "PaddleSignature.calculate_hmac"), "sdk", "pdl_ntfset_1",
        {"Paddle-Signature": f"ts={AT};h1=dummy;h1={signature}"}, body,
        event_id="evt_01hsdn", event_type="transaction.completed",
    )  # fmt: skip

    body = '{"merchant_id":"6SSW7HV8K2ST5","type":"payment.updated","event_id":"13b867cf-db3d-4b1c-90b6-2f32a9d78124"}'
    signature = base64.b64encode(openssl(b"signature key", f"{URL}{body}".encode())).decode()
    accepted = verify_signature(
        request_body=body, signature_header=signature, signature_key="signature key", notification_url=URL
    )
    assert accepted
    row(
        "square", package("squareup", "accepted by verify_signature"), "sdk", "signature key",
        {"x-square-hmacsha256-signature": signature}, body, public_url=URL,
        event_id="13b867cf-db3d-4b1c-90b6-2f32a9d78124", event_type="payment.updated",
    )  # fmt: skip

    body = '{"data":{"record_type":"event","id":"0ccc7b54-4df3-4bca-a65a-3da1ecc777f0","event_type":"call.initiated"}}'
    public, sign = ed25519()
    headers = {"telnyx-timestamp": str(AT), "telnyx-signature-ed25519": sign(f"{AT}|{body}".encode())}
    with clock(AT):
        verify_webhook_signature(body.encode(), headers, public)
    row(
        "telnyx", package("telnyx", "accepted by verify_webhook_signature"), "sdk", public, headers, body,
        event_id="0ccc7b54-4df3-4bca-a65a-3da1ecc777f0", event_type="call.initiated",
    )  # fmt: skip


def ed25519() -> tuple[str, Callable[[bytes], str]]:
    private = subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519"], stdout=subprocess.PIPE, check=True).stdout
    shown = ["openssl", "pkey", "-pubout", "-outform", "DER"]
    public = subprocess.run(shown, input=private, stdout=subprocess.PIPE, check=True).stdout[-32:]

    def sign(text: bytes) -> str:
        with tempfile.NamedTemporaryFile() as key, tempfile.NamedTemporaryFile() as data:
            key.write(private), key.flush(), data.write(text), data.flush()
            command = ["openssl", "pkeyutl", "-sign", "-inkey", key.name, "-rawin", "-in", data.name]
            return base64.b64encode(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout).decode()

    return base64.b64encode(public).decode(), sign


class clock:  # noqa: N801 - reads as a function
    def __init__(self, now: float) -> None:
        self.now = now

    def __enter__(self) -> None:
        import time

        self.real, time.time = time.time, lambda: self.now

    def __exit__(self, *error: object) -> None:
        import time

        time.time = self.real


def by_openssl() -> None:
    secret, key = "a secret of forty two characters, or so", b"a secret of forty two characters, or so"
    time = datetime.fromtimestamp(AT, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def hexed(text: str, hash_name: str = "sha256") -> str:
        return openssl(key, text.encode(), hash_name).hex()

    def coded(text: str, hash_name: str = "sha256") -> str:
        return base64.b64encode(openssl(key, text.encode(), hash_name)).decode()

    body = '{"event":"invitee.created","created_at":"2023-11-14T22:13:20.000000Z","payload":{}}'
    ruled(
        "calendly",
        "developer.calendly.com, Webhook signatures",
        secret,
        {"Calendly-Webhook-Signature": f"t={AT},v1={hexed(f'{AT}.{body}')}"},
        body,
        event_type="invitee.created",
    )
    body = '{"event_id":"01J0","event_type":"form_response"}'
    ruled(
        "typeform",
        "typeform.com/developers, Secure your webhooks",
        secret,
        {"Typeform-Signature": "sha256=" + coded(body)},
        body,
        event_id="01J0",
        event_type="form_response",
    )
    body = '{"id":727,"status":"processing"}'
    ruled(
        "woocommerce",
        "woocommerce.com/document/webhooks",
        secret,
        {
            "X-WC-Webhook-Topic": "order.created",
            "X-WC-Webhook-Delivery-ID": "d1",
            "X-WC-Webhook-Signature": coded(body),
        },
        body,
        event_id="d1",
        event_type="order.created",
    )
    body = '{"action":"created","data":{"issue":{"id":"1"}}}'
    ruled(
        "sentry",
        "docs.sentry.io, Integration Platform, Webhooks",
        secret,
        {"Request-ID": "r1", "Sentry-Hook-Resource": "issue", "Sentry-Hook-Signature": hexed(body)},
        body,
        event_id="r1",
        event_type="issue.created",
    )
    body = '{"event":"meeting.started","event_ts":1700000000000}'
    ruled(
        "zoom",
        "developers.zoom.us, Using webhooks",
        secret,
        {"x-zm-request-timestamp": str(AT), "x-zm-signature": "v0=" + hexed(f"v0:{AT}:{body}")},
        body,
        event_type="meeting.started",
    )
    body = '{"object":"page","entry":[{"id":"1","changes":[]}]}'
    ruled(
        "meta",
        "developers.facebook.com/docs/graph-api/webhooks",
        secret,
        {"X-Hub-Signature-256": "sha256=" + hexed(body)},
        body,
        event_type="page",
        option_secrets={"verify_token_env": "a token"},
    )
    body = '{"list_folder":{"accounts":["dbid:1"]}}'
    ruled("dropbox", "dropbox.com/developers/reference/webhooks", secret, {"X-Dropbox-Signature": hexed(body)}, body)
    body = '{"events":[{"action":"changed","created_at":"2023-11-14T22:13:20.000Z"}]}'
    ruled("asana", "developers.asana.com, Webhooks guide", secret, {"X-Hook-Signature": hexed(body)}, body)
    body = '{"type":"zen:event-type:user.created","zendesk_event_version":"2022-11-06"}'
    ruled(
        "zendesk",
        "developer.zendesk.com, Verifying webhook signatures",
        secret,
        {
            "X-Zendesk-Webhook-Invocation-Id": "i1",
            "X-Zendesk-Webhook-Signature-Timestamp": time,
            "X-Zendesk-Webhook-Signature": coded(time + body),
        },
        body,
        event_id="i1",
        event_type="zen:event-type:user.created",
    )
    body = json.dumps(
        {
            "signature": {"timestamp": str(AT), "token": "t" * 50, "signature": hexed(f"{AT}{'t' * 50}")},
            "event-data": {"event": "delivered"},
        }
    )
    ruled(
        "mailgun",
        "documentation.mailgun.com, Securing webhooks",
        secret,
        {},
        body,
        event_id="t" * 50,
        event_type="delivered",
    )
    body = '{"id":"uev_1","type":"deployment.succeeded"}'
    ruled(
        "vercel",
        "vercel.com/docs/webhooks/webhooks-api",
        secret,
        {"x-vercel-signature": hexed(body, "sha1")},
        body,
        event_id="uev_1",
        event_type="deployment.succeeded",
    )
    body = '{"webhook_metadata":{"event":{"id":"e1","include":"api:release"}}}'
    ruled(
        "heroku",
        "devcenter.heroku.com/articles/app-webhooks",
        secret,
        {"Heroku-Webhook-Hmac-SHA256": coded(body)},
        body,
        event_id="e1",
        event_type="api:release",
    )
    body = '{"action":{"id":"a1","type":"updateCard"}}'
    ruled(
        "trello",
        "developer.atlassian.com/cloud/trello, Webhook signatures",
        secret,
        {"X-Trello-Webhook": coded(body + URL, "sha1")},
        body,
        public_url=URL,
        event_id="a1",
        event_type="updateCard",
    )
    bodies_and_headers(secret, key, hexed, coded)


def bodies_and_headers(secret: str, key: bytes, hexed: Callable[..., str], coded: Callable[..., str]) -> None:
    ms = AT * 1000
    body = '{"event":"taskCreated","task_id":"1vj37mc","webhook_id":"7fa3ec74"}'
    ruled(
        "clickup",
        "developer.clickup.com/docs, Webhook signature",
        secret,
        {"X-Signature": hexed(body)},
        body,
        event_type="taskCreated",
    )
    body = '{"event":{"id":"ev_1","object_type":"lead","action":"updated"}}'
    ruled(
        "close",
        "developer.close.com/topics/webhooks, Webhook signatures",
        key.hex(),
        {"Close-Sig-Timestamp": str(AT), "Close-Sig-Hash": hexed(f"{AT}{body}")},
        body,
        event_id="ev_1",
        event_type="lead.updated",
    )
    body = '{"event_id":"01E4","object_type":"email","metric":"opened"}'
    ruled(
        "customerio",
        "docs.customer.io, Securely verifying requests",
        secret,
        {"X-CIO-Timestamp": str(AT), "X-CIO-Signature": hexed(f"v0:{AT}:{body}")},
        body,
        event_id="01E4",
        event_type="email.opened",
    )
    body = json.dumps({"event_type": "FILE_UPDATE", "passcode": secret, "timestamp": "2023-11-14T22:13:20Z"})
    ruled(
        "figma",
        "developers.figma.com/docs/rest-api/webhooks, Security (nothing is signed)",
        secret,
        {},
        body,
        event_type="FILE_UPDATE",
    )
    body = '{"ref":"refs/heads/main"}'
    ruled(
        "gitea",
        "docs.gitea.com, Webhooks",
        secret,
        {"X-Gitea-Event": "push", "X-Gitea-Delivery": "f6266f16", "X-Gitea-Signature": hexed(body)},
        body,
        event_id="f6266f16",
        event_type="push",
    )
    body = '{"action":"hire_candidate","payload":{}}'
    ruled(
        "greenhouse",
        "developers.greenhouse.io/webhooks.html, Authentication",
        secret,
        {"Greenhouse-Event-ID": "1", "Signature": "sha256 " + hexed(body)},
        body,
        event_id="1",
        event_type="hire_candidate",
    )
    body = '{"_id":"57c06d","kind":"flag"}'
    ruled(
        "launchdarkly",
        "launchdarkly.com/docs, Signed webhooks",
        secret,
        {"X-LD-Signature": hexed(body)},
        body,
        event_id="57c06d",
        event_type="flag",
    )
    body = '{"data":{"events":[{"uuid":"u1","eventType":"user.lifecycle.create"}]}}'
    ruled(
        "okta",
        "developer.okta.com, Event hooks (nothing is signed)",
        secret,
        {"Authorization": secret},
        body,
        event_id="u1",
        event_type="user.lifecycle.create",
    )
    body = '[{"id":"e1","type":"qbo.customer.created.v1"}]'
    ruled(
        "quickbooks",
        "developer.intuit.com, Validating the notification",
        secret,
        {"intuit-signature": coded(body)},
        body,
        event_id="e1",
        event_type="qbo.customer.created.v1",
    )
    body = '{"id":"rjxwmwedwqug","object_type":"account","event_type":"created"}'
    ruled(
        "recurly",
        "docs.recurly.com, Signature verification",
        secret,
        {"recurly-notification-id": "qp1", "recurly-signature": f"{ms},{'0' * 64},{hexed(f'{ms}.{body}')}"},
        body,
        event_id="qp1",
        event_type="account.created",
    )
    body = '{"update_id":10000,"message":{"text":"/start"}}'
    ruled(
        "telegram",
        "core.telegram.org/bots/api, setWebhook (nothing is signed)",
        "secret-token_1",
        {"X-Telegram-Bot-Api-Secret-Token": "secret-token_1"},
        body,
        event_id="10000",
        event_type="message",
    )
    body = '{"run_id":"run-1","notifications":[{"trigger":"run:completed"}]}'
    ruled(
        "terraform",
        "developer.hashicorp.com, Notification authenticity",
        secret,
        {"X-TFE-Notification-Signature": hexed(body, "sha512")},
        body,
        event_type="run:completed",
    )


def easypost() -> None:
    from easypost.util import validate_webhook

    body, secret = '{"id":"evt_1","object":"Event","description":"tracker.updated"}', "sécret"
    signature = openssl(unicodedata.normalize("NFKD", secret).encode(), body.encode()).hex()
    headers = {"X-Hmac-Signature": f"hmac-sha256-hex={signature}"}
    validate_webhook(body.encode(), headers, secret)
    source = package("easypost", "accepted by validate_webhook")
    row("easypost", source, "sdk", secret, headers, body, event_id="evt_1", event_type="tracker.updated")


if __name__ == "__main__":
    by_packages()
    easypost()
    by_openssl()
    print(json.dumps(ROWS, indent=1))
