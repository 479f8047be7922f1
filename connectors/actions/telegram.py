"""Telegram, as a bot.

Example::

    destinations:
      bot: {connector: telegram, token_env: TELEGRAM_BOT_TOKEN}
    routes:
      - name: order-to-telegram
        source: orders
        to: bot
        action: send_message
        with: {chat_id: -1001234567890, text: "Order {{ body.id }}"}

Source: core.telegram.org/bots/api, "Making requests", "sendMessage", "sendDocument"; core.telegram.org/bots/faq,
"My bot is hitting limits".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from connectors.connector import Call, Connector, EnvName, Rate
from connectors.content import File
from connectors.dialect import Dialect, Exceptional, number_at, said_at
from connectors.endpoint import Endpoint
from connectors.web_settings import BaseUrl, WebSettings

if TYPE_CHECKING:
    from connectors.answer import Answer

_TOKEN = re.compile(r"[0-9]{3,20}:[A-Za-z0-9_-]{10,100}", re.ASCII)
REFUSED, UNCLEAR = "refused", "unclear"

ParseMode = Literal["MarkdownV2", "HTML", "Markdown"]


class TelegramSettings(WebSettings):
    """A destination of connector ``telegram``."""

    base_url: BaseUrl = "https://api.telegram.org"
    token_env: EnvName = Field(description="The bot's token, 123456789:AA….")
    rate: Rate | None = Field(
        "1/s",
        description="Telegram allows one message a second in a chat, 20 a minute in a group, and 30 a second in all: "
        "a bot that writes to many chats may be given more.",
    )

    def endpoint(self, secrets: Mapping[str, str]) -> Endpoint:
        """Return the address that holds the token.

        Raises:
            ValueError: the token is not one.
        """
        token = secrets["token_env"].strip()
        if _TOKEN.fullmatch(token) is None:
            raise ValueError("the bot token is not a number, a colon, and letters")
        return self.endpoint_at(f"{self.base_url}/bot{token}", secrets=(token, token.partition(":")[2]))


def _code(answer: Answer) -> str:
    ok = said_at(answer, "ok")
    return "" if ok is True else REFUSED if ok is False else UNCLEAR


def _wait_s(answer: Answer, now_s: float) -> float | None:
    return number_at(answer, "parameters", "retry_after")


telegram = Connector(
    "telegram",
    TelegramSettings,
    dialect=Dialect(
        (
            Exceptional(403, 403, "permanent", "the chat refuses the bot: blocked, removed, or never begun"),
            Exceptional(404, 404, "credentials_refused", "there is no bot with this token"),
            Exceptional(200, 299, "transient", "the answer does not say whether it was accepted", frozenset({UNCLEAR})),
            Exceptional(200, 299, "permanent", "`ok: false`: Telegram refuses the message", frozenset({REFUSED})),
        ),
        code=_code,
        wait_s=_wait_s,
    ),
)


@telegram.action
async def send_message(
    call: Call,
    *,
    chat_id: int | str,
    text: Annotated[str, Field(min_length=1, max_length=4096)],
    parse_mode: ParseMode | None = None,
    disable_notification: bool | None = None,
    message_thread_id: int | None = None,
    reply_markup: dict[str, Any] | None = None,
    link_preview: bool = True,
) -> str:
    """Send ``text`` to a chat, at least once: a retry after a lost answer sends it again.

    Telegram has no key to tell a repeat by. With a ``parse_mode``, what comes out of an event must be escaped for it.

    Returns:
        The message's id.

    Raises:
        PermanentError: Telegram or the chat refuses the message.
        TransientError: Telegram limits the rate, is failing, or could not be reached.
        CredentialsRefused: there is no bot with this token.
    """
    message = {
        "chat_id": chat_id,
        "text": text,
        "parse_mode": parse_mode,
        "disable_notification": disable_notification,
        "message_thread_id": message_thread_id,
        "reply_markup": reply_markup,
        "link_preview_options": None if link_preview else {"is_disabled": True},
    }
    answer = await call.client.request("POST", "/sendMessage", json=_given(message))
    return f"message {answer.text_at('result', 'message_id')}"


@telegram.action
async def send_document(
    call: Call,
    *,
    chat_id: int | str,
    document: File,
    caption: Annotated[str, Field(max_length=1024)] | None = None,
    parse_mode: ParseMode | None = None,
    message_thread_id: int | None = None,
) -> str:
    """Send a file to a chat, at least once: a retry after a lost answer sends it again. A file is at most 50 MB.

    Returns:
        The message's id.

    Raises:
        PermanentError: Telegram or the chat refuses the file.
        TransientError: Telegram limits the rate, is failing, or could not be reached.
        CredentialsRefused: there is no bot with this token.
    """
    fields = _given(
        {"chat_id": chat_id, "caption": caption, "parse_mode": parse_mode, "message_thread_id": message_thread_id}
    )
    answer = await call.client.request("POST", "/sendDocument", multipart={**fields, "document": document})
    return f"message {answer.text_at('result', 'message_id')}"


def _given(message: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if value is not None}
