"""Google Sheets: rows, by a service account.

Example::

    destinations:
      sheets: {connector: google_sheets, service_account_env: GOOGLE_SERVICE_ACCOUNT}
    routes:
      - name: order-to-sheet
        source: orders
        to: sheets
        action: append_rows
        with:
          spreadsheet: 1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms
          sheet: Orders
          row: ["{{ event.id }}", "{{ event.time }}", "{{ body.id }}", "{{ body.total }}"]

Source: developers.google.com/workspace/sheets/api, "spreadsheets.values.append", "Usage limits";
developers.google.com/identity/protocols/oauth2/service-account; cloud.google.com/apis/design/errors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import quote

from pydantic import Field

from connectors.auth import Token, TokenRequest
from connectors.connector import Call, Connector, EnvName, Rate
from connectors.dialect import Dialect, Exceptional, said_at
from connectors.endpoint import Endpoint, Scalar, read_base_url
from connectors.rules import exactly_one
from connectors.web_settings import BaseUrl, WebSettings

if TYPE_CHECKING:
    from connectors.answer import Answer

SCOPE = "https://www.googleapis.com/auth/spreadsheets"
ASSERTION_S = 3600
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LIMITED = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "RESOURCE_EXHAUSTED"})

Row = list[Scalar]


class GoogleSheetsSettings(WebSettings):
    """A destination of connector ``google_sheets``."""

    base_url: BaseUrl = "https://sheets.googleapis.com"
    service_account_env: EnvName = Field(
        description="The JSON key of a service account, whose address the spreadsheet is shared with."
    )
    rate: Rate | None = Field("1/s", description="Google allows 60 writes a minute for a user, 300 for a project.")

    def endpoint(self, secrets: Mapping[str, str]) -> Endpoint:
        """Return the API, and tokens that the service account's key signs for.

        Raises:
            ValueError: the key is not one.
        """
        account = _read_account(secrets["service_account_env"])
        return self.endpoint_at(
            self.base_url, auth=_tokens(account), secrets=(account["private_key"], account.get("private_key_id", ""))
        )


def _read_account(text: str) -> dict[str, str]:
    try:
        account = json.loads(text)
        for name in ("client_email", "private_key", "token_uri"):
            if not isinstance(account[name], str):
                raise TypeError(name)  # noqa: TRY301  one sentence for all
        account["token_uri"] = read_base_url(account["token_uri"])
        _sign(account, 0)
    except Exception:  # whatever the libraries make of a key that is none; their texts may show it
        raise ValueError("the service account's key is not the JSON that Google gives out") from None
    return {name: value for name, value in account.items() if isinstance(value, str)}


def _tokens(account: Mapping[str, str]) -> Token:
    def grant(now_s: float) -> TokenRequest:
        return TokenRequest(account["token_uri"], {"grant_type": GRANT, "assertion": _sign(account, int(now_s))})

    return Token(grant, url=account["token_uri"])


def _sign(account: Mapping[str, str], now_s: int) -> str:
    import jwt  # with cryptography a tenth of a second, which checking a routing table need not take

    claims = {
        "iss": account["client_email"],
        "scope": SCOPE,
        "aud": account["token_uri"],
        "iat": now_s,
        "exp": now_s + ASSERTION_S,
    }
    headers = {"kid": account["private_key_id"]} if account.get("private_key_id") else None
    return jwt.encode(claims, account["private_key"], algorithm="RS256", headers=headers)


def _code(answer: Answer) -> str:
    """Return the reason, which says more than the status: a 403 may be a limit."""
    errors = said_at(answer, "error", "errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        reason = errors[0].get("reason")
        if isinstance(reason, str):
            return reason
    status = said_at(answer, "error", "status")
    return status if isinstance(status, str) else ""


google_sheets = Connector(
    "google_sheets",
    GoogleSheetsSettings,
    dialect=Dialect(
        (Exceptional(403, 429, "rate_limited", "a limit, also where the status is 403", LIMITED),), code=_code
    ),
)


@google_sheets.action_with(exactly_one("row", "rows"))
async def append_rows(
    call: Call,
    *,
    spreadsheet: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{10,200}$")],
    sheet: Annotated[str, Field(min_length=1, max_length=200)],
    row: Row | None = None,
    rows: list[Row] | None = None,
    input: Literal["RAW", "USER_ENTERED"] = "RAW",  # noqa: A002  Google's own name is valueInputOption
) -> str:
    """Append a row, or several, to a table of ``sheet``, at least once: a retry after a lost answer appends again.

    Google has no key to tell a repeat by: put the event's id into a column. ``sheet`` is a sheet's name or a range
    (``Orders!A:D``). With ``RAW``, cells hold what they are given; with ``USER_ENTERED``, what begins with ``=`` is a
    formula, which no event should be able to make.

    Returns:
        The range that was written.

    Raises:
        PermanentError: not one of ``row`` and ``rows`` is given, or there is no such spreadsheet or sheet.
        TransientError: Google limits the rate (429, and 403 with such a reason), is failing, or could not be reached.
        CredentialsRefused: the key is refused, or the spreadsheet is not shared with the account.
    """
    values: list[Any] = [row] if row is not None else list(rows or [])
    path = f"/v4/spreadsheets/{spreadsheet}/values/{quote(sheet, safe='')}:append"
    query: dict[str, Scalar | list[Scalar]] = {"valueInputOption": input, "insertDataOption": "INSERT_ROWS"}
    answer = await call.client.request("POST", path, query=query, json={"values": values})
    return answer.text_at("updates", "updatedRange")
