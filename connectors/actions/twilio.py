"""Twilio: text messages (SMS, MMS, WhatsApp).

Example::

    destinations:
      texts:
        connector: twilio
        account_sid: AC00000000000000000000000000000000
        token_env: TWILIO_AUTH_TOKEN
    routes:
      - name: shipped-to-text
        source: orders
        when: body.status == "shipped"
        to: texts
        action: send_message
        with: {to: "{{ body.phone }}", sender: "+15017122661", body: "Order {{ body.id }} is on its way."}

Source: twilio.com/docs, "Messages resource", "API requests", "Error and warning dictionary" (20003, 20429, 21211,
21610, 21611), "REST API best practices".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from connectors.auth import basic
from connectors.connector import Call, Connector, EnvName
from connectors.dialect import Dialect, Exceptional, code_at
from connectors.endpoint import Endpoint, Scalar
from connectors.rules import at_least_one, exactly_one
from connectors.web_settings import BaseUrl, WebSettings


class TwilioSettings(WebSettings):
    """A destination of connector ``twilio``."""

    base_url: BaseUrl = "https://api.twilio.com"
    account_sid: str = Field(pattern=r"^AC[0-9a-fA-F]{32}$")
    api_key_sid: str | None = Field(
        None, pattern=r"^SK[0-9a-fA-F]{32}$", description="An API key's sid; then token_env holds the key's secret."
    )
    token_env: EnvName = Field(description="The account's auth token, or the API key's secret.")
    concurrency: int = Field(
        10, ge=1, le=10_000, description="Twilio limits how many calls it works on at once (20429)."
    )

    def endpoint(self, secrets: Mapping[str, str]) -> Endpoint:
        """Return the account's part of the API, and the credentials."""
        authorization = basic(self.api_key_sid or self.account_sid, secrets["token_env"])
        return self.endpoint_at(
            f"{self.base_url}/2010-04-01/Accounts/{self.account_sid}", headers={"authorization": authorization}
        )


twilio = Connector(
    "twilio",
    TwilioSettings,
    dialect=Dialect(
        (
            Exceptional(
                400,
                429,
                "rate_limited",
                "20429: too many calls at once; 21611: the sender's queue is full",
                frozenset({"20429", "21611"}),
            ),
            Exceptional(
                400,
                403,
                "credentials_refused",
                "20003, 20005: not authenticated, or the account is not active",
                frozenset({"20003", "20005"}),
            ),
            Exceptional(
                403,
                403,
                "permanent",
                "21610 and the like: the recipient or the region is not to be written to",
                frozenset({"21408", "21610", "21612", "21614", "63032"}),
            ),
        ),
        code=code_at("code"),
    ),
)


@twilio.action_with(exactly_one("sender", "messaging_service_sid"), at_least_one("body", "media_url"))
async def send_message(
    call: Call,
    *,
    to: str,
    body: Annotated[str, Field(max_length=1600)] | None = None,
    sender: str | None = None,
    messaging_service_sid: Annotated[str, Field(pattern=r"^MG[0-9a-fA-F]{32}$")] | None = None,
    media_url: list[str] | None = None,
    status_callback: str | None = None,
) -> str:
    """Send a text message, at least once: a retry after a lost answer sends it again.

    Twilio has no key to tell a message's repeat by. ``to`` and ``sender`` are numbers as E.164 writes them
    (``+15558675310``), also behind ``whatsapp:``; a messaging service stands in for ``sender``. Twilio answers when the
    message is queued; whether it arrived, it tells the ``status_callback``.

    Returns:
        The message's sid.

    Raises:
        PermanentError: Twilio refuses the message, as with 21211, a number that is none.
        TransientError: Twilio limits the calls, is failing, or could not be reached.
        CredentialsRefused: the credentials are wrong, or the account is not active.
    """
    form: dict[str, Scalar | list[Scalar]] = {"To": to, "From": sender, "MessagingServiceSid": messaging_service_sid}
    form |= {"Body": body, "MediaUrl": list(media_url or []), "StatusCallback": status_callback}
    answer = await call.client.request("POST", "/Messages.json", form=form)
    return f"message {answer.text_at('sid')}"
