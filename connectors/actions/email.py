"""Mail by SMTP, over one connection that is kept.

Example::

    destinations:
      mail:
        connector: email
        host: smtp.example.com
        username: shop@example.com
        password_env: SMTP_PASSWORD
        sender: Shop <shop@example.com>
    routes:
      - name: order-to-mail
        source: orders
        to: mail
        action: send
        with:
          to: "{{ body.email }}"
          subject: "Your order {{ body.id }}"
          text: "Thank you for your order of {{ body.total }} EUR."

Source: RFC 5321 (4.2, replies; 4.5.3.2, timeouts), RFC 3207 (STARTTLS), RFC 4954 (AUTH), RFC 5322 (3.6.4, Message-ID).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.headerregistry import Address as HeaderAddress
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from connectors.connector import Call, Connector, EnvName, Extra
from connectors.content import File
from connectors.errors import PermanentError
from connectors.mail import Address, Addresses, listed, message_id, split_address
from connectors.rules import Given, at_least_one
from connectors.smtp import MailServer, SmtpConnection
from connectors.tls import Tls
from connectors.web_settings import WebSettings

Subject = Annotated[str, Field(max_length=900, pattern=r"^[^\x00-\x08\x0a-\x1f\x7f]*$")]


class EmailSettings(WebSettings):
    """A destination of connector ``email``: one mail server."""

    host: str = Field(pattern=r"^[A-Za-z0-9._:-]{1,253}$", description="The mail server.")
    port: int = Field(587, ge=1, le=65_535)
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="tls is for port 465; without TLS nothing is hidden, a password least of all."
    )
    username: str | None = None
    password_env: EnvName | None = Field(None, description="With username.")
    sender: Address | None = Field(None, description="Who sends, where an action does not say so.")
    concurrency: int = Field(1, ge=1, le=1, description="One mail after another: there is one connection.")
    timeout_s: float = Field(60, gt=0, le=600, description="Total time of one mail, from connecting to the last reply.")

    @field_validator("password_env")
    @classmethod
    def _with_username(cls, name: str | None, info: ValidationInfo) -> str | None:
        if name is not None and info.data.get("username") is None:
            raise ValueError("needs username too")
        if name is not None and info.data.get("security") == "none":
            raise ValueError("a password is not sent without TLS")
        return name


async def _open(settings: EmailSettings, secrets: Mapping[str, str]) -> SmtpConnection:
    context = None if settings.security == "none" else Tls(settings.ca_file).context()
    server = MailServer(
        settings.host,
        settings.port,
        implicit_tls=settings.security == "tls",
        context=context,
        username=settings.username,
        password=secrets.get("password_env"),
        allow_private=settings.allow_private,
    )
    return SmtpConnection(server)


email = Connector("email", EmailSettings, prepare=_open, extra=Extra("aiosmtplib", "email"))


def _has_sender(given: Given, settings: Any) -> str:
    known = settings is None or settings.sender is not None
    return "" if known or given.possibly("sender") else "sender is missing, here and in the destination"


@email.action_with(_has_sender, at_least_one("text", "html"))
async def send(
    call: Call,
    *,
    to: Addresses,
    subject: Subject,
    text: str | None = None,
    html: str | None = None,
    sender: Address | None = None,
    cc: Addresses | None = None,
    bcc: Addresses | None = None,
    reply_to: Address | None = None,
    attachments: list[File] | None = None,
) -> str:
    """Send one mail, at least once: a retry after a lost reply sends it again, with the same ``Message-ID``.

    Many mailboxes keep but one mail of a ``Message-ID``, which is made of the delivery id. A mail has ``text``, or
    ``html``, or both, as alternatives. Where the server takes the mail for some recipients only, that is a
    `PermanentError` which names the others: a retry would send it to all again.

    Returns:
        The mail's ``Message-ID``.

    Raises:
        PermanentError: the mail makes no sense, or the server refuses it or a recipient for good (5xx).
        TransientError: the server refuses it for now (4xx), is failing, or could not be reached.
        CredentialsRefused: the server refuses the user or the password.
    """
    who = sender or call.settings.sender
    assert who is not None  # noqa: S101  for mypy: `_has_sender` has checked it
    identity = message_id(call.idempotency_key, who)
    mail = EmailMessage(SMTP)
    try:
        mail["From"] = _header(who)
        mail["To"] = [_header(address) for address in listed(to)]
        if cc is not None:
            mail["Cc"] = [_header(address) for address in listed(cc)]
        if reply_to is not None:
            mail["Reply-To"] = _header(reply_to)
        mail["Subject"] = subject
        mail["Message-ID"] = identity
        mail["Date"] = format_datetime(datetime.fromtimestamp(call.time_s(), UTC))
        _fill(mail, text, html, attachments or [])
    except (ValueError, UnicodeError, IndexError):  # what the library makes of odd addresses and lone surrogates
        raise PermanentError("the mail cannot be written: an address or a text is not valid") from None
    recipients = [_plain(address) for address in (*listed(to), *listed(cc), *listed(bcc))]
    connection: SmtpConnection = call.prepared
    await connection.send(mail, _plain(who), list(dict.fromkeys(recipients)), timeout_s=call.settings.timeout_s)
    return f"mail {identity}"


def _fill(mail: EmailMessage, text: str | None, html: str | None, attachments: list[File]) -> None:
    if text is not None:
        mail.set_content(text)
        if html is not None:
            mail.add_alternative(html, subtype="html")
    elif html is not None:
        mail.set_content(html, subtype="html")
    for file in attachments:
        main, _, sub = file.content_type.partition(";")[0].partition("/")
        mail.add_attachment(file.read(), maintype=main, subtype=sub, filename=file.name)


def _header(address: Address) -> HeaderAddress:
    split = split_address(address)
    local, _, domain = split["email"].rpartition("@")
    return HeaderAddress(split.get("name", ""), local, _ascii(domain))


def _plain(address: Address) -> str:
    local, _, domain = split_address(address)["email"].rpartition("@")
    return f"{local}@{_ascii(domain)}"


def _ascii(domain: str) -> str:
    try:
        return domain.encode("idna").decode()
    except UnicodeError:
        raise PermanentError("a mail address has a domain that cannot be") from None
