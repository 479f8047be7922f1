"""Slack, as an app with a bot token: messages to any channel that the app is in.

Example::

    destinations:
      team: {connector: slack, token_env: SLACK_BOT_TOKEN}
    routes:
      - name: order-to-slack
        source: orders
        to: team
        action: post_message
        with: {channel: "#orders", text: "Order {{ body.id }}: {{ body.total }} EUR"}

Source: docs.slack.dev, "chat.postMessage", "chat.update", "Rate limits".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from connectors.connector import Call, Connector, EnvName, Rate
from connectors.dialect import ANY_CODE, Dialect, Exceptional, said_at
from connectors.endpoint import Endpoint
from connectors.rules import at_least_one
from connectors.web_settings import BaseUrl, WebSettings

if TYPE_CHECKING:
    from connectors.answer import Answer

CREDENTIALS = frozenset(
    {
        "invalid_auth",
        "not_authed",
        "account_inactive",
        "token_revoked",
        "token_expired",
        "no_permission",
        "missing_scope",
        "access_denied",
        "not_allowed_token_type",
        "org_login_required",
        "ekm_access_denied",
        "team_access_not_granted",
        "enterprise_is_restricted",
        "two_factor_setup_required",
    }
)
LIMITED = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
FAILING = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org"})
UNCLEAR = "unclear"

Text = Annotated[str, Field(max_length=40_000)]
Blocks = Annotated[list[dict[str, Any]], Field(max_length=50)]


class SlackSettings(WebSettings):
    """A destination of connector ``slack``."""

    base_url: BaseUrl = "https://slack.com/api"
    token_env: EnvName = Field(description="The app's bot token, xoxb-…, with the scope chat:write.")
    rate: Rate | None = Field("1/s", description="Slack allows one message a second in a channel, and short bursts.")

    def endpoint(self, secrets: Mapping[str, str]) -> Endpoint:
        """Return Slack's Web API, and the token."""
        return self.endpoint_at(self.base_url, headers={"authorization": f"Bearer {secrets['token_env']}"})


def _code(answer: Answer) -> str:
    if said_at(answer, "ok") is True:
        return ""
    error = said_at(answer, "error")
    return error if said_at(answer, "ok") is False and isinstance(error, str) else UNCLEAR


slack = Connector(
    "slack",
    SlackSettings,
    dialect=Dialect(
        (
            Exceptional(
                200, 299, "credentials_refused", "`ok: false`: the token is refused, or lacks a scope", CREDENTIALS
            ),
            Exceptional(200, 299, "rate_limited", "`ok: false`: too many messages", LIMITED),
            Exceptional(200, 299, "transient", "`ok: false`: Slack is failing", FAILING),
            Exceptional(200, 299, "transient", "the answer does not say whether it was accepted", frozenset({UNCLEAR})),
            Exceptional(200, 299, "permanent", "`ok: false`: Slack refuses the message", ANY_CODE),
        ),
        code=_code,
    ),
)


@slack.action_with(at_least_one("text", "blocks"))
async def post_message(
    call: Call,
    *,
    channel: str,
    text: Text | None = None,
    blocks: Blocks | None = None,
    thread_ts: str | None = None,
    reply_broadcast: bool | None = None,
    unfurl_links: bool | None = None,
    username: str | None = None,
    icon_emoji: str | None = None,
) -> str:
    """Post ``text`` or ``blocks`` to ``channel``, at least once: a retry after a lost answer posts again.

    Slack has no key to tell a repeat by. ``text`` beside ``blocks`` is what notifications show.

    Returns:
        The message's ``ts`` and channel.

    Raises:
        PermanentError: Slack refuses the message, as with ``channel_not_found`` or ``not_in_channel``.
        TransientError: Slack limits the rate, is failing, or could not be reached.
        CredentialsRefused: the token is refused, or lacks a scope.
    """
    message = {
        "channel": channel,
        "text": text,
        "blocks": blocks,
        "thread_ts": thread_ts,
        "reply_broadcast": reply_broadcast,
        "unfurl_links": unfurl_links,
        "username": username,
        "icon_emoji": icon_emoji,
    }
    answer = await call.client.request("POST", "/chat.postMessage", json=_given(message))
    return f"message {answer.text_at('ts')} in {answer.text_at('channel')}"


@slack.action_with(at_least_one("text", "blocks"))
async def update_message(
    call: Call, *, channel: str, ts: str, text: Text | None = None, blocks: Blocks | None = None
) -> str:
    """Replace the text or blocks of the message ``ts``, at least once: a repeat changes nothing.

    ``channel`` is the channel's id: a name will not do here.

    Returns:
        The message's ``ts`` and channel.

    Raises:
        PermanentError: Slack refuses the change, as with ``message_not_found``.
        TransientError: Slack limits the rate, is failing, or could not be reached.
        CredentialsRefused: the token is refused, or lacks a scope.
    """
    message = {"channel": channel, "ts": ts, "text": text, "blocks": blocks}
    answer = await call.client.request("POST", "/chat.update", json=_given(message))
    return f"message {answer.text_at('ts')} in {answer.text_at('channel')}"


def _given(message: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in message.items() if value is not None}
