"""HubSpot: contacts, companies, deals and any other object of its CRM.

Example::

    destinations:
      crm: {connector: hubspot, token_env: HUBSPOT_TOKEN}
    routes:
      - name: order-to-contact
        source: orders
        to: crm
        action: upsert
        with:
          object_type: contacts
          id_property: email
          id: "{{ body.email }}"
          properties: {firstname: "{{ body.name }}", last_order: "{{ body.id }}"}

Source: developers.hubspot.com/docs, "CRM API: objects", "Usage guidelines and limits", "Error handling".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from pydantic import Field

from connectors.connector import Call, Connector, EnvName, Rate
from connectors.dialect import Dialect, Exceptional, said_at
from connectors.endpoint import Endpoint, Scalar
from connectors.web_settings import BaseUrl, WebSettings

if TYPE_CHECKING:
    from connectors.answer import Answer

DAILY_WAIT_S = 3600.0  # the day ends at midnight of the account's time zone, which the answer does not tell
SECONDLY_WAIT_S = {"SECONDLY": 1.0, "TEN_SECONDLY_ROLLING": 10.0}
SOME_FAILED = "some failed"

ObjectType = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,100}$")]
Properties = dict[str, Scalar]


class HubspotSettings(WebSettings):
    """A destination of connector ``hubspot``."""

    base_url: BaseUrl = "https://api.hubapi.com"
    token_env: EnvName = Field(description="The access token of a private app, pat-….")
    rate: Rate | None = Field(
        "10/s", description="HubSpot allows a private app 100 calls in ten seconds (Professional and Enterprise: 190)."
    )

    def endpoint(self, secrets: Mapping[str, str]) -> Endpoint:
        """Return the API and the token."""
        return self.endpoint_at(self.base_url, headers={"authorization": f"Bearer {secrets['token_env']}"})


def _code(answer: Answer) -> str:
    if answer.status == 207:
        return SOME_FAILED if said_at(answer, "errors") else ""
    category = said_at(answer, "category")
    return category if isinstance(category, str) else ""


def _wait_s(answer: Answer, now_s: float) -> float | None:
    if answer.status != 429 or "retry-after" in answer.headers:
        return None
    policy = said_at(answer, "policyName")
    if policy == "DAILY":
        return DAILY_WAIT_S
    return SECONDLY_WAIT_S.get(policy) if isinstance(policy, str) else None


hubspot = Connector(
    "hubspot",
    HubspotSettings,
    dialect=Dialect(
        (
            Exceptional(207, 207, "permanent", "207 with `errors`: the object was refused", frozenset({SOME_FAILED})),
            Exceptional(409, 409, "permanent", "the object exists already"),
            Exceptional(423, 423, "transient", "locked: too much is being changed at once"),
            Exceptional(477, 477, "transient", "the account is being moved"),
        ),
        code=_code,
        wait_s=_wait_s,
    ),
)


@hubspot.action
async def upsert(
    call: Call,
    *,
    object_type: ObjectType,
    id_property: str,
    id: str,  # noqa: A002  HubSpot's own name
    properties: Properties,
) -> str:
    """Create an object, or change the one whose ``id_property`` is ``id``, at least once: a repeat changes nothing.

    ``object_type`` is ``contacts``, ``companies``, ``deals`` or another; ``id_property`` a property that HubSpot keeps
    unique, such as ``email`` of contacts.

    Returns:
        The object's id.

    Raises:
        PermanentError: HubSpot refuses the object.
        TransientError: HubSpot limits the rate (429), is failing, or could not be reached.
        CredentialsRefused: the token is wrong, or lacks a scope.
    """
    one = {"id": id, "idProperty": id_property, "properties": _texts(properties)}
    answer = await call.client.request("POST", f"/crm/v3/objects/{object_type}/batch/upsert", json={"inputs": [one]})
    found = said_at(answer, "results")
    first = found[0] if isinstance(found, list) and found and isinstance(found[0], dict) else {}
    return f"{object_type} {first.get('id', '')}"


@hubspot.action
async def create(
    call: Call,
    *,
    object_type: ObjectType,
    properties: Properties,
    associations: list[dict[str, Any]] | None = None,
) -> str:
    """Create an object, at least once: a retry after a lost answer creates another, where HubSpot keeps none unique.

    HubSpot has no key to tell a repeat by: `upsert` does without one.

    Returns:
        The object's id.

    Raises:
        PermanentError: HubSpot refuses the object, or has one with the same unique property (409).
        TransientError: HubSpot limits the rate (429), is failing, or could not be reached.
        CredentialsRefused: the token is wrong, or lacks a scope.
    """
    new: dict[str, Any] = {"properties": _texts(properties)}
    if associations is not None:
        new["associations"] = associations
    answer = await call.client.request("POST", f"/crm/v3/objects/{object_type}", json=new)
    return f"{object_type} {answer.text_at('id')}"


@hubspot.action
async def update(
    call: Call,
    *,
    object_type: ObjectType,
    id: str,  # noqa: A002  HubSpot's own name
    properties: Properties,
    id_property: str | None = None,
) -> str:
    """Change an object's properties, at least once: a repeat changes nothing.

    Returns:
        The object's id.

    Raises:
        PermanentError: there is no such object, or HubSpot refuses a property.
        TransientError: HubSpot limits the rate (429), is failing, or could not be reached.
        CredentialsRefused: the token is wrong, or lacks a scope.
    """
    answer = await call.client.request(
        "PATCH",
        f"/crm/v3/objects/{object_type}/{quote(id, safe='')}",
        query=None if id_property is None else {"idProperty": id_property},
        json={"properties": _texts(properties)},
    )
    return f"{object_type} {answer.text_at('id')}"


def _texts(properties: Properties) -> dict[str, str]:
    """Return properties as HubSpot takes them, all of them text; null empties one."""
    texts = {}
    for name, value in properties.items():
        texts[name] = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return texts
