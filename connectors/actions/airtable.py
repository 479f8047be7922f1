"""Airtable: records of a base.

Example::

    destinations:
      orders-base: {connector: airtable, base_id: appABCDEFGHIJKLMN, token_env: AIRTABLE_TOKEN}
    routes:
      - name: order-to-airtable
        source: orders
        to: orders-base
        action: upsert_record
        with:
          table: Orders
          merge_on: [Order]
          fields: {Order: "{{ body.id }}", Total: "{{ body.total }}"}

Source: airtable.com/developers/web/api, "Create records", "Update multiple records: performUpsert", "Rate limits",
"Errors".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from pydantic import Field

from connectors.connector import Call, Connector, EnvName, Rate
from connectors.dialect import Dialect, Exceptional, said_at
from connectors.endpoint import Endpoint
from connectors.web_settings import BaseUrl, WebSettings

if TYPE_CHECKING:
    from connectors.answer import Answer

PENALTY_S = 30.0

Table = Annotated[str, Field(min_length=1, max_length=255)]


class AirtableSettings(WebSettings):
    """A destination of connector ``airtable``: one base."""

    base_url: BaseUrl = "https://api.airtable.com"
    base_id: str = Field(pattern=r"^app[A-Za-z0-9]{14}$")
    token_env: EnvName = Field(description="A personal access token with data.records:write, pat….")
    rate: Rate | None = Field("5/s", description="Airtable allows five requests a second in a base.")

    def endpoint(self, secrets: Mapping[str, str]) -> Endpoint:
        """Return the base and the token."""
        return self.endpoint_at(
            f"{self.base_url}/v0/{self.base_id}", headers={"authorization": f"Bearer {secrets['token_env']}"}
        )


def _wait_s(answer: Answer, now_s: float) -> float | None:
    """Return the penalty after a 429: until it is over, Airtable answers nothing else."""
    return PENALTY_S if answer.status == 429 and "retry-after" not in answer.headers else None


airtable = Connector(
    "airtable",
    AirtableSettings,
    dialect=Dialect((Exceptional(422, 422, "permanent", "a field is unknown, or of another type"),), wait_s=_wait_s),
)


@airtable.action
async def create_record(call: Call, *, table: Table, fields: dict[str, Any], typecast: bool = False) -> str:
    """Create a record in ``table`` (its name or id), at least once: a retry after a lost answer creates another.

    Airtable has no key to tell a repeat by: `upsert_record` does without one. With ``typecast``, text is made into what
    the field holds, and new choices are added.

    Returns:
        The record's id.

    Raises:
        PermanentError: Airtable refuses the record.
        TransientError: Airtable limits the rate, which costs 30 seconds, is failing, or could not be reached.
        CredentialsRefused: the token is wrong, or may not write here; or there is no such table.
    """
    records = {"records": [{"fields": fields}], "typecast": typecast}
    answer = await call.client.request("POST", f"/{quote(table, safe='')}", json=records)
    return _record(answer)


@airtable.action
async def upsert_record(
    call: Call,
    *,
    table: Table,
    fields: dict[str, Any],
    merge_on: Annotated[list[str], Field(min_length=1, max_length=3)],
    typecast: bool = False,
) -> str:
    """Create a record, or change the one with the same fields ``merge_on``, at least once: a repeat changes nothing.

    Returns:
        The record's id.

    Raises:
        PermanentError: Airtable refuses the record, or several have the same fields.
        TransientError: Airtable limits the rate, which costs 30 seconds, is failing, or could not be reached.
        CredentialsRefused: the token is wrong, or may not write here; or there is no such table.
    """
    records = {
        "records": [{"fields": fields}],
        "performUpsert": {"fieldsToMergeOn": merge_on},
        "typecast": typecast,
    }
    answer = await call.client.request("PATCH", f"/{quote(table, safe='')}", json=records)
    return _record(answer)


def _record(answer: Answer) -> str:
    records = said_at(answer, "records")
    first = records[0] if isinstance(records, list) and records and isinstance(records[0], dict) else {}
    return f"record {first.get('id', '')}"
