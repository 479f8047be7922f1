"""Slack, by the address of an incoming webhook: messages to the one channel that it was made for.

Example::

    destinations:
      team: {connector: slack_webhook, url_env: SLACK_WEBHOOK_URL}
    routes:
      - {name: order-to-slack, source: orders, to: team, action: post_message, with: {text: "Order {{ body.id }}"}}

Source: docs.slack.dev, "Sending messages using incoming webhooks", "Handling errors".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from connectors.connector import Call, Connector, EnvName, Rate
from connectors.dialect import Dialect, Exceptional
from connectors.endpoint import Endpoint
from connectors.rules import at_least_one
from connectors.web_settings import WebSettings

if TYPE_CHECKING:
    from connectors.answer import Answer


class SlackWebhookSettings(WebSettings):
    """A destination of connector ``slack_webhook``."""

    url_env: EnvName = Field(
        description="The webhook's address, https://hooks.slack.com/services/…: it is a credential."
    )
    rate: Rate | None = Field("1/s", description="Slack allows one message a second, and short bursts.")

    def endpoint(self, secrets: Mapping[str, str]) -> Endpoint:
        """Return the webhook's address."""
        return self.endpoint_in_secret(secrets["url_env"])


def _code(answer: Answer) -> str:
    """Return the error code, which is the whole body, as plain text."""
    text = answer.body[:64].decode("ascii", "replace").strip()
    return text if text.replace("_", "").isalnum() else ""


slack_webhook = Connector(
    "slack_webhook",
    SlackWebhookSettings,
    dialect=Dialect(
        (
            Exceptional(404, 404, "credentials_refused", "the webhook, its team or its channel is no more"),
            Exceptional(410, 410, "credentials_refused", "the webhook's channel is archived"),
        ),
        code=_code,
    ),
)


@slack_webhook.action_with(at_least_one("text", "blocks"))
async def post_message(
    call: Call,
    *,
    text: Annotated[str, Field(max_length=40_000)] | None = None,
    blocks: Annotated[list[dict[str, Any]], Field(max_length=50)] | None = None,
    thread_ts: str | None = None,
    unfurl_links: bool | None = None,
) -> None:
    """Post ``text`` or ``blocks`` to the webhook's channel, at least once: a retry after a lost answer posts again.

    Slack has no key to tell a repeat by, and does not say how it names the message.

    Raises:
        PermanentError: Slack refuses the message, as with ``invalid_payload``.
        TransientError: Slack limits the rate, is failing, or could not be reached.
        CredentialsRefused: the webhook was removed or forbidden, or its channel archived.
    """
    message = {"text": text, "blocks": blocks, "thread_ts": thread_ts, "unfurl_links": unfurl_links}
    await call.client.request("POST", "", json={name: value for name, value in message.items() if value is not None})
