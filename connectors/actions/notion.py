"""Notion: pages, and what stands on them.

Example::

    destinations:
      wiki: {connector: notion, token_env: NOTION_TOKEN}
    routes:
      - name: order-to-notion
        source: orders
        to: wiki
        action: create_page
        with:
          data_source_id: 59833787-2cf9-4fdf-8782-e53db20768a5
          title: "Order {{ body.id }}"
          properties: {Total: {number: "{{ body.total }}"}}

Source: developers.notion.com, "Changes by version", "Create a page", "Append block children", "Request limits",
"Status codes".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from connectors.connector import Call, Connector, EnvName, Rate
from connectors.dialect import Dialect, Exceptional, code_at
from connectors.endpoint import Endpoint
from connectors.rules import exactly_one
from connectors.web_settings import BaseUrl, WebSettings

API_VERSION = "2026-03-11"

Id = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$")]
Blocks = Annotated[list[dict[str, Any]], Field(min_length=1, max_length=100)]


class NotionSettings(WebSettings):
    """A destination of connector ``notion``."""

    base_url: BaseUrl = "https://api.notion.com"
    token_env: EnvName = Field(description="The secret of an internal integration, ntn_….")
    api_version: str = Field(API_VERSION, pattern=r"^\d{4}-\d{2}-\d{2}$")
    rate: Rate | None = Field("3/s", description="Notion allows three requests a second on average.")

    def endpoint(self, secrets: Mapping[str, str]) -> Endpoint:
        """Return the API, the secret and the API's version."""
        headers = {"authorization": f"Bearer {secrets['token_env']}", "notion-version": self.api_version}
        return self.endpoint_at(self.base_url, headers=headers)


notion = Connector(
    "notion",
    NotionSettings,
    dialect=Dialect(
        (
            Exceptional(529, 529, "rate_limited", "service_overload: Notion asks for fewer requests"),
            Exceptional(
                400, 499, "transient", "conflict_error: the page was changed meanwhile", frozenset({"conflict_error"})
            ),
        ),
        code=code_at("code"),
    ),
)


@notion.action_with(exactly_one("data_source_id", "page_id"))
async def create_page(
    call: Call,
    *,
    data_source_id: Id | None = None,
    page_id: Id | None = None,
    properties: dict[str, Any] | None = None,
    title: str | None = None,
    children: Blocks | None = None,
    icon: dict[str, Any] | None = None,
) -> str:
    """Create a page in a data source, or under a page, at least once: a retry after a lost answer creates another.

    Notion has no key to tell a repeat by. ``title`` stands in for the property ``title``, where nothing more is wanted.

    Returns:
        The page's id.

    Raises:
        PermanentError: not one of ``data_source_id`` and ``page_id`` is given, the integration cannot see the parent,
            or Notion refuses a property.
        TransientError: Notion limits the rate, is failing, or could not be reached.
        CredentialsRefused: the secret is wrong, or may not insert.
    """
    parent = {"data_source_id": data_source_id} if data_source_id is not None else {"page_id": page_id}
    own = dict(properties or {})
    if title is not None:
        own["title"] = {"title": [{"text": {"content": title}}]}
    page: dict[str, Any] = {"parent": parent, "properties": own}
    page |= {} if children is None else {"children": children}
    page |= {} if icon is None else {"icon": icon}
    answer = await call.client.request("POST", "/v1/pages", json=page)
    return f"page {answer.text_at('id')}"


@notion.action
async def update_page(call: Call, *, page_id: Id, properties: dict[str, Any]) -> str:
    """Change a page's properties, at least once: a repeat changes nothing.

    Returns:
        The page's id.

    Raises:
        PermanentError: the integration cannot see the page, or Notion refuses a property.
        TransientError: Notion limits the rate, is failing, or could not be reached.
        CredentialsRefused: the secret is wrong, or may not change pages.
    """
    answer = await call.client.request("PATCH", f"/v1/pages/{page_id}", json={"properties": properties})
    return f"page {answer.text_at('id')}"


@notion.action
async def append_blocks(call: Call, *, block_id: Id, children: Blocks) -> None:
    """Append blocks to a page or block, at least once: a retry after a lost answer appends them again.

    Notion has no key to tell a repeat by.

    Raises:
        PermanentError: the integration cannot see the page, or Notion refuses a block.
        TransientError: Notion limits the rate, is failing, or could not be reached.
        CredentialsRefused: the secret is wrong, or may not insert.
    """
    await call.client.request("PATCH", f"/v1/blocks/{block_id}/children", json={"children": children})
