"""Mailgun: mail by its HTTP API.

Example::

    destinations:
      mail: {connector: mailgun, domain: mg.example.com, token_env: MAILGUN_API_KEY}
    routes:
      - name: order-to-mail
        source: orders
        to: mail
        action: send_mail
        with:
          sender: Shop <shop@mg.example.com>
          to: "{{ body.email }}"
          subject: "Your order {{ body.id }}"
          text: "Thank you for your order of {{ body.total }} EUR."

Source: documentation.mailgun.com, "Send an email", "API overview: errors, regions".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from pydantic import Field

from connectors.auth import basic
from connectors.connector import Call, Connector, EnvName
from connectors.content import File, Part
from connectors.dialect import Dialect, Exceptional
from connectors.endpoint import Endpoint
from connectors.mail import Address, Addresses, message_id
from connectors.rules import at_least_one
from connectors.web_settings import BaseUrl, WebSettings


class MailgunSettings(WebSettings):
    """A destination of connector ``mailgun``."""

    base_url: BaseUrl = Field("https://api.mailgun.net", description="In Europe: https://api.eu.mailgun.net.")
    domain: str = Field(pattern=r"^[A-Za-z0-9.-]{3,253}$", description="The sending domain.")
    token_env: EnvName = Field(description="An API key, or the domain's sending key.")

    def endpoint(self, secrets: Mapping[str, str]) -> Endpoint:
        """Return the domain's part of the API, and the key."""
        return self.endpoint_at(
            f"{self.base_url}/v3/{self.domain}", headers={"authorization": basic("api", secrets["token_env"])}
        )


mailgun = Connector(
    "mailgun",
    MailgunSettings,
    dialect=Dialect(
        (
            Exceptional(402, 402, "credentials_refused", "the account is not paid for"),
            Exceptional(404, 404, "credentials_refused", "this account has no such domain, or not in this region"),
        )
    ),
)


@mailgun.action_with(at_least_one("text", "html", "template"))
async def send_mail(
    call: Call,
    *,
    sender: Address,
    to: Addresses,
    subject: Annotated[str, Field(max_length=998)],
    text: str | None = None,
    html: str | None = None,
    cc: Addresses | None = None,
    bcc: Addresses | None = None,
    reply_to: Address | None = None,
    template: str | None = None,
    template_values: dict[str, Any] | None = None,
    attachments: list[File] | None = None,
    tags: Annotated[list[str], Field(max_length=10)] | None = None,
) -> str:
    """Send one mail, at least once: a retry after a lost answer sends it again, with the same ``Message-ID``.

    Mailgun has no key to tell a repeat by; many mailboxes keep but one mail of a ``Message-ID``, which is made of the
    delivery id. A mail has ``text``, ``html`` or both, or a template with its values.

    Returns:
        Mailgun's id of the mail.

    Raises:
        PermanentError: the mail has no content, or Mailgun refuses it.
        TransientError: Mailgun limits the rate, is failing, or could not be reached.
        CredentialsRefused: the key is wrong, or the account has no such domain.
    """
    fields: dict[str, Part | list[Part] | None] = {
        "from": sender,
        "to": to if isinstance(to, str) else list(to),
        "cc": cc if cc is None or isinstance(cc, str) else list(cc),
        "bcc": bcc if bcc is None or isinstance(bcc, str) else list(bcc),
        "subject": subject,
        "text": text,
        "html": html,
        "template": template,
        "t:variables": None if template_values is None else orjson.dumps(template_values).decode(),
        "h:Reply-To": reply_to,
        "h:Message-Id": message_id(call.idempotency_key, sender),
        "o:tag": None if tags is None else list(tags),
        "attachment": None if attachments is None else list(attachments),
    }
    parts = {name: value for name, value in fields.items() if value is not None}
    answer = await call.client.request("POST", "/messages", multipart=parts)
    return f"mail {answer.text_at('id')}"
