"""Outgoing webhooks, signed as Standard Webhooks say, so that whoever gets them can tell who sent them and when.

Example::

    destinations:
      partner:
        connector: webhook
        base_url: https://partner.example.com/webhooks
        secret_env: [PARTNER_SECRET, PARTNER_SECRET_OLD]
    routes:
      - name: order-to-partner
        source: orders
        to: partner
        action: send
        with: {type: order.created, payload: {id: "{{ body.id }}"}}

Source: standardwebhooks.com, "Standard Webhooks specification", v1 (symmetric signatures).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

import orjson
from pydantic import AfterValidator, Field

from connectors.connector import Call, Connector, EnvName
from connectors.dialect import Dialect, Exceptional
from connectors.endpoint import Endpoint, check_headers
from connectors.errors import PermanentError
from connectors.web_settings import BaseUrl, WebSettings

SECRET_PREFIX = "whsec_"  # noqa: S105  what a secret begins with, no secret
SECRET_BYTES_MIN, SECRET_BYTES_MAX = 24, 64


class WebhookSettings(WebSettings):
    """A destination of connector ``webhook``."""

    base_url: BaseUrl = Field(description="The address that gets the webhooks.")
    secret_env: EnvName | Annotated[list[EnvName], Field(min_length=1, max_length=5)] = Field(
        description="Holds the signing secret, whsec_… (24 to 64 bytes in Base64). A list while it is rotated, the new "
        "one first: each message is then signed with all of them."
    )
    headers: Annotated[dict[str, str], AfterValidator(check_headers)] = Field(
        default={}, description="Sent with every call. No credentials."
    )

    def endpoint(self, secrets: Mapping[str, str]) -> Endpoint:
        """Return the address.

        Raises:
            ValueError: a signing secret is not one.
        """
        keys = signing_keys(secrets["secret_env"])
        parts = secrets["secret_env"].split()
        masked = (*parts, *(part.removeprefix(SECRET_PREFIX) for part in parts), *(key.hex() for key in keys))
        return self.endpoint_at(self.base_url, headers=self.headers, secrets=masked)


webhook = Connector(
    "webhook",
    WebhookSettings,
    dialect=Dialect(
        (Exceptional(410, 410, "permanent", "gone: the receiver wants no more webhooks, so remove the route"),)
    ),
)


@webhook.action
async def send(call: Call, *, payload: object, type: str | None = None) -> None:  # noqa: A002  the specification's name
    """Send ``payload`` as JSON, signed, at least once: a repeat carries the same ``webhook-id``, the delivery id.

    With ``type``, the body is ``{"type": …, "timestamp": …, "data": payload}``, as the specification recommends, and
    the timestamp is that of the attempt; without it, the payload as it is. Any answer of status 2xx is a success.

    Raises:
        PermanentError: the payload cannot be sent, or the receiver refuses it; 410 asks for no more webhooks at all.
        TransientError: 408, 409, 425, 429, 5xx, no answer in time, or no connection.
        CredentialsRefused: 401 or 403.
    """
    now_s = int(call.time_s())
    try:
        body = orjson.dumps(payload if type is None else {"type": type, "timestamp": _iso(now_s), "data": payload})
    except (TypeError, ValueError):
        raise PermanentError("the payload cannot be encoded as JSON") from None
    signed = sign(call.idempotency_key, now_s, body, signing_keys(call.secrets["secret_env"]))
    await call.client.request("POST", "", body=body, own_headers={"content-type": "application/json", **signed})


def signing_keys(text: str) -> list[bytes]:
    """Return the keys of the secrets in ``text``, one a line, in their order.

    Raises:
        ValueError: there is none, or one is not Base64 of 24 to 64 bytes; shows none of it.
    """
    keys = []
    for part in text.split():
        try:
            key = base64.b64decode(part.removeprefix(SECRET_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("a signing secret is not Base64 behind whsec_") from None
        if not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
            raise ValueError(f"a signing secret has {len(key)} bytes, not {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}")
        keys.append(key)
    if not keys:
        raise ValueError("there is no signing secret")
    return keys


def sign(message_id: str, timestamp_s: int, body: bytes, keys: list[bytes]) -> dict[str, str]:
    """Return the three headers of a signed message; one signature a key, with spaces between them."""
    content = b"%b.%d.%b" % (message_id.encode(), timestamp_s, body)
    signatures = [base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode() for key in keys]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def _iso(now_s: int) -> str:
    return datetime.fromtimestamp(now_s, UTC).isoformat().replace("+00:00", "Z")
