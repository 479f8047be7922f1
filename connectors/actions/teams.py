"""Microsoft Teams, by the address of a workflow ("When a Teams webhook request is received").

The older incoming webhooks of Microsoft 365 connectors, which are being retired, take the same messages.

Example::

    destinations:
      team: {connector: teams, url_env: TEAMS_WORKFLOW_URL}
    routes:
      - name: order-to-teams
        source: orders
        to: team
        action: post_message
        with: {title: "A new order", text: "{{ body.id }}: {{ body.total }} EUR"}

Source: learn.microsoft.com, "Create incoming webhooks with Workflows for Microsoft Teams", "Create Incoming Webhooks".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import Field

from connectors.connector import Call, Connector, EnvName, Rate
from connectors.dialect import ANY_CODE, Dialect, Exceptional, said_at
from connectors.endpoint import Endpoint
from connectors.errors import PermanentError
from connectors.rules import exactly_one
from connectors.web_settings import WebSettings

if TYPE_CHECKING:
    from connectors.answer import Answer

MESSAGE_BYTES_MAX = 28 * 1024
CARD = "application/vnd.microsoft.card.adaptive"
_FAILED_WITHIN = re.compile(rb"HTTP error ([0-9]{3})")
GONE = frozenset({"WorkflowNotFound", "WorkflowTriggerIsNotEnabled", "WorkflowTriggerNotFound", "WorkflowDisabled"})


class TeamsSettings(WebSettings):
    """A destination of connector ``teams``."""

    url_env: EnvName = Field(description="The workflow's address, with its signature: it is a credential.")
    rate: Rate | None = Field("4/s", description="Teams limits whoever sends more than four requests a second.")

    def endpoint(self, secrets: Mapping[str, str]) -> Endpoint:
        """Return the workflow's address."""
        return self.endpoint_in_secret(secrets["url_env"])


def _code(answer: Answer) -> str:
    """Return the error code, or the status that an older webhook reports within an answer of 200."""
    within = _FAILED_WITHIN.search(answer.body[:1000]) if answer.status == 200 else None
    if within is not None:
        return within[1].decode()
    code = said_at(answer, "error", "code")
    return code if isinstance(code, str) else ""


teams = Connector(
    "teams",
    TeamsSettings,
    dialect=Dialect(
        (
            Exceptional(400, 404, "credentials_refused", "the workflow is switched off or was removed", GONE),
            Exceptional(200, 200, "rate_limited", "an older webhook says `HTTP error 429` within", frozenset({"429"})),
            Exceptional(
                200,
                200,
                "transient",
                "an older webhook says `HTTP error 5xx` within",
                frozenset({"500", "502", "503", "504"}),
            ),
            Exceptional(200, 200, "permanent", "an older webhook says `HTTP error …` within", ANY_CODE),
        ),
        code=_code,
    ),
)


@teams.action_with(exactly_one("text", "card"))
async def post_message(
    call: Call, *, text: str | None = None, title: str | None = None, card: dict[str, Any] | None = None
) -> None:
    """Post ``text``, under ``title``, or an Adaptive Card, at least once: a retry after a lost answer posts again.

    Teams has no key to tell a repeat by. A workflow answers 202 when it has begun: that it posted is not told. ``text``
    may hold the Markdown that cards know. A message is at most 28 KB.

    Raises:
        PermanentError: there is nothing to post, it is too large, or the workflow refuses it.
        TransientError: Teams limits the rate, is failing, or could not be reached.
        CredentialsRefused: the address's signature is wrong, or the workflow was switched off or removed.
    """
    attachment = {"contentType": CARD, "contentUrl": None, "content": card or _card(text or "", title)}
    body = orjson.dumps({"type": "message", "attachments": [attachment]})
    if len(body) > MESSAGE_BYTES_MAX:
        raise PermanentError(f"the message has {len(body)} bytes: Teams takes {MESSAGE_BYTES_MAX}")
    await call.client.request("POST", "", body=body, own_headers={"content-type": "application/json"})


def _card(text: str, title: str | None) -> dict[str, Any]:
    blocks = [{"type": "TextBlock", "text": text, "wrap": True}]
    if title is not None:
        blocks.insert(0, {"type": "TextBlock", "text": title, "wrap": True, "weight": "Bolder", "size": "Medium"})
    return {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": blocks,
    }
