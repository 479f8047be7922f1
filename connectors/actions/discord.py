"""Discord, by the address of a channel's webhook.

Example::

    destinations:
      team: {connector: discord, url_env: DISCORD_WEBHOOK_URL}
    routes:
      - {name: order-to-discord, source: orders, to: team, action: post_message, with: {content: "Order {{ body.id }}"}}

Source: docs.discord.com, "Webhook Resource", "Execute Webhook", "Rate Limits", "Opcodes and Status Codes".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from connectors.connector import Call, Connector, EnvName, Rate
from connectors.dialect import Dialect, Exceptional, code_at, number_at
from connectors.endpoint import Endpoint
from connectors.rules import at_least_one
from connectors.web_settings import WebSettings

if TYPE_CHECKING:
    from connectors.answer import Answer

NO_MENTIONS: dict[str, Any] = {"parse": []}


class DiscordSettings(WebSettings):
    """A destination of connector ``discord``."""

    url_env: EnvName = Field(
        description="The webhook's address, https://discord.com/api/webhooks/…: it is a credential."
    )
    rate: Rate | None = Field("2/s", description="Discord allows a webhook five messages in two seconds.")

    def endpoint(self, secrets: Mapping[str, str]) -> Endpoint:
        """Return the webhook's address; ``wait`` makes Discord answer when the message is there."""
        endpoint = self.endpoint_in_secret(secrets["url_env"])
        query = (*((name, value) for name, value in endpoint.query if name != "wait"), ("wait", "true"))
        return self.endpoint_at(endpoint.base_url, query=query, secrets=endpoint.secrets)


def _wait_s(answer: Answer, now_s: float) -> float | None:
    """Return the seconds that a 429 asks for in its body, as a fraction; the header rounds them."""
    return number_at(answer, "retry_after") if answer.status == 429 else None


discord = Connector(
    "discord",
    DiscordSettings,
    dialect=Dialect(
        (Exceptional(404, 404, "credentials_refused", "the webhook is no more", frozenset({"10015", "0"})),),
        code=code_at("code"),
        wait_s=_wait_s,
    ),
)


@discord.action_with(at_least_one("content", "embeds"))
async def post_message(
    call: Call,
    *,
    content: Annotated[str, Field(max_length=2000)] | None = None,
    embeds: Annotated[list[dict[str, Any]], Field(max_length=10)] | None = None,
    username: Annotated[str, Field(max_length=80)] | None = None,
    avatar_url: str | None = None,
    tts: bool | None = None,
    thread_id: str | None = None,
    allowed_mentions: dict[str, Any] | None = None,
) -> str:
    """Post ``content`` or ``embeds`` to the webhook's channel, at least once: a retry after a lost answer posts again.

    Discord has no key to tell a webhook's repeat by. Nobody is mentioned, whatever the text holds, unless
    ``allowed_mentions`` says so.

    Returns:
        The message's id.

    Raises:
        PermanentError: Discord refuses the message.
        TransientError: Discord limits the rate, is failing, or could not be reached.
        CredentialsRefused: the webhook's token is wrong, or the webhook was removed.
    """
    message = {
        "content": content,
        "embeds": embeds,
        "username": username,
        "avatar_url": avatar_url,
        "tts": tts,
        "allowed_mentions": NO_MENTIONS if allowed_mentions is None else allowed_mentions,
    }
    answer = await call.client.request(
        "POST",
        "",
        query=None if thread_id is None else {"thread_id": thread_id},
        json={name: value for name, value in message.items() if value is not None},
    )
    return f"message {answer.text_at('id')}"
