"""SendGrid: mail by Twilio's HTTP API.

Example::

    destinations:
      mail: {connector: sendgrid, token_env: SENDGRID_API_KEY}
    routes:
      - name: order-to-mail
        source: orders
        to: mail
        action: send_mail
        with:
          sender: Shop <shop@example.com>
          to: "{{ body.email }}"
          subject: "Your order {{ body.id }}"
          text: "Thank you for your order of {{ body.total }} EUR."

Source: twilio.com/docs/sendgrid, "Mail Send", "Errors", "Rate limits".
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from connectors.connector import Call, Connector, EnvName
from connectors.content import File
from connectors.dialect import Dialect, Exceptional
from connectors.endpoint import Endpoint
from connectors.mail import Address, Addresses, split_address
from connectors.rules import Given
from connectors.web_settings import BaseUrl, WebSettings


class SendgridSettings(WebSettings):
    """A destination of connector ``sendgrid``."""

    base_url: BaseUrl = Field("https://api.sendgrid.com", description="In Europe: https://api.eu.sendgrid.com.")
    token_env: EnvName = Field(description="An API key that may send mail, SG.….")

    def endpoint(self, secrets: Mapping[str, str]) -> Endpoint:
        """Return the API and the key."""
        return self.endpoint_at(self.base_url, headers={"authorization": f"Bearer {secrets['token_env']}"})


sendgrid = Connector(
    "sendgrid",
    SendgridSettings,
    dialect=Dialect((Exceptional(413, 413, "permanent", "the mail is larger than 30 MB"),)),
)


def _has_content(given: Given, settings: object) -> str:
    written = given.possibly("subject") and given.possibly("text", "html")
    return (
        "" if written or given.possibly("template_id") else "subject and text or html, or else template_id, is missing"
    )


@sendgrid.action_with(_has_content)
async def send_mail(
    call: Call,
    *,
    sender: Address,
    to: Addresses,
    subject: str | None = None,
    text: str | None = None,
    html: str | None = None,
    cc: Addresses | None = None,
    bcc: Addresses | None = None,
    reply_to: Address | None = None,
    template_id: Annotated[str, Field(pattern=r"^d-[0-9a-f]{32}$")] | None = None,
    template_values: dict[str, Any] | None = None,
    attachments: list[File] | None = None,
    categories: Annotated[list[str], Field(max_length=10)] | None = None,
) -> str:
    """Send one mail, at least once: a retry after a lost answer sends it again.

    SendGrid has no key to tell a repeat by; the delivery id goes along as the custom argument ``headrace_delivery_id``.
    A mail has ``text``, ``html`` or both, and a subject; or a dynamic template with its values.

    Returns:
        The mail's ``X-Message-Id``.

    Raises:
        PermanentError: the mail has no content, or SendGrid refuses it.
        TransientError: SendGrid limits the rate, is failing, or could not be reached.
        CredentialsRefused: the key is wrong, may not send, or has no credits left.
    """
    content = [("text/plain", text), ("text/html", html)]
    person = {
        "to": _people(to),
        "cc": _people(cc),
        "bcc": _people(bcc),
        "dynamic_template_data": template_values,
        "custom_args": {"headrace_delivery_id": call.idempotency_key},
    }
    mail = {
        "personalizations": [_given(person)],
        "from": split_address(sender),
        "reply_to": None if reply_to is None else split_address(reply_to),
        "subject": subject,
        "content": [{"type": kind, "value": value} for kind, value in content if value is not None] or None,
        "template_id": template_id,
        "attachments": [_attachment(file) for file in attachments or []] or None,
        "categories": categories,
    }
    answer = await call.client.request("POST", "/v3/mail/send", json=_given(mail))
    return f"mail {answer.headers.get('x-message-id', '')}"


def _people(addresses: Addresses | None) -> list[dict[str, str]] | None:
    if addresses is None:
        return None
    return [split_address(address) for address in ([addresses] if isinstance(addresses, str) else addresses)]


def _attachment(file: File) -> dict[str, str]:
    content = base64.b64encode(file.read()).decode()
    return {"content": content, "type": file.content_type, "filename": file.name, "disposition": "attachment"}


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
