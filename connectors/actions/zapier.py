"""Zapier, by the address of a Zap's catch hook ("Webhooks by Zapier").

Example::

    destinations:
      old-zap: {connector: zapier, url_env: ZAPIER_HOOK_URL}
    routes:
      - {name: order-to-zap, source: orders, to: old-zap, action: trigger, with: {payload: {id: "{{ body.id }}"}}}

Source: help.zapier.com, "Trigger Zaps from webhooks", "Webhooks by Zapier rate limits".
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from pydantic import Field

from connectors.connector import Call, Connector, EnvName, Rate
from connectors.dialect import Dialect, Exceptional
from connectors.endpoint import Endpoint, Scalar
from connectors.errors import PermanentError
from connectors.web_settings import WebSettings

QUERY_FIELDS_MAX = 1000


class ZapierSettings(WebSettings):
    """A destination of connector ``zapier``."""

    url_env: EnvName = Field(description="The hook's address, https://hooks.zapier.com/hooks/catch/…: a credential.")
    rate: Rate | None = Field(
        "30/s",
        description="Zapier allows a hook 30 requests a second, and a user 10,000 in five minutes over all of theirs "
        "(33 a second; 20,000 on some plans); an old address without a user's number, 1,000.",
    )

    def endpoint(self, secrets: Mapping[str, str]) -> Endpoint:
        """Return the hook's address."""
        return self.endpoint_in_secret(secrets["url_env"])


zapier = Connector(
    "zapier",
    ZapierSettings,
    dialect=Dialect(
        (
            Exceptional(404, 404, "credentials_refused", "there is no such hook"),
            Exceptional(410, 410, "credentials_refused", "the hook is no more"),
        )
    ),
)


@zapier.action
async def trigger(call: Call, *, payload: dict[str, Any] | list[dict[str, Any]]) -> str:
    """Trigger the Zap with ``payload``, at least once: a retry after a lost answer triggers it again.

    Zapier answers 200 when it has the request, also for a Zap that is switched off or held: that the Zap ran is not
    told. A list runs the Zap once for each of its objects.

    Returns:
        Zapier's id of the request.

    Raises:
        PermanentError: Zapier refuses the request.
        TransientError: Zapier limits the rate (429), is failing, or could not be reached.
        CredentialsRefused: there is no such hook (any more).
    """
    answer = await call.client.request("POST", "", json=payload)
    return f"request {answer.text_at('request_id') or answer.text_at('id')}"


@zapier.action
async def forward(
    call: Call, *, body_base64: str, content_type: str = "", content_encoding: str = "", query: str = ""
) -> None:
    """Send a request's body as it came to the hook, at least once: what a route's mirror does.

    ``query``, as it stood in the address behind ``?``, is added to the hook's own. That the Zap ran is not told.

    Raises:
        PermanentError: the body is not Base64, the query cannot be read, or Zapier refuses the request.
        TransientError: Zapier limits the rate (429), is failing, or could not be reached.
        CredentialsRefused: there is no such hook (any more).
    """
    try:
        body = base64.b64decode(body_base64, validate=True)
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX)
    except ValueError as error:
        raise PermanentError(f"the event cannot be forwarded: {error}") from None
    fields: dict[str, Scalar | list[Scalar]] = {}
    for name, value in pairs:
        earlier = fields.setdefault(name, [])
        assert isinstance(earlier, list)  # noqa: S101  for mypy: made so
        earlier.append(value)
    headers = {"content-type": content_type, "content-encoding": content_encoding}
    given = {name: value for name, value in headers.items() if value}
    await call.client.request("POST", "", body=body, query=fields or None, headers=given)
