"""GitHub: issues, comments, and events that start workflows.

Example::

    destinations:
      shop-repository: {connector: github, token_env: GITHUB_TOKEN}
    routes:
      - name: complaint-to-issue
        source: orders
        when: body.kind == "complaint"
        to: shop-repository
        action: create_issue
        with:
          repository: acme/shop
          title: "Complaint about order {{ body.id }}"
          body: "{{ body.text }}"
          labels: [complaint]

Source: docs.github.com, REST API: "API Versions", "Issues", "Repositories: create a repository dispatch event",
"Workflows", "Rate limits for the REST API", "Best practices for using the REST API".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from connectors.connector import Call, Connector, EnvName, Rate
from connectors.dialect import Dialect, Exceptional, said_at
from connectors.endpoint import Endpoint
from connectors.web_settings import BaseUrl, WebSettings

if TYPE_CHECKING:
    from connectors.answer import Answer

API_VERSION = "2026-03-10"
LIMITED = "rate limited"
WAIT_S = 60.0  # "wait for at least one minute", where a secondary limit names no time

Repository = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,100}/[A-Za-z0-9._-]{1,100}$")]


class GithubSettings(WebSettings):
    """A destination of connector ``github``."""

    base_url: BaseUrl = Field("https://api.github.com", description="Of GitHub Enterprise Server: https://HOST/api/v3.")
    token_env: EnvName = Field(description="A fine-grained token that may write issues, or contents for `dispatch`.")
    api_version: str = Field(API_VERSION, pattern=r"^\d{4}-\d{2}-\d{2}$")
    rate: Rate | None = Field(
        "1/s", description="GitHub asks for a second between writes, and makes at most 80 things a minute, 500 an hour."
    )
    concurrency: int = Field(1, ge=1, le=100, description="GitHub asks for calls one after another.")

    def endpoint(self, secrets: Mapping[str, str]) -> Endpoint:
        """Return the API, the token and the API's version."""
        headers = {
            "authorization": f"Bearer {secrets['token_env']}",
            "accept": "application/vnd.github+json",
            "x-github-api-version": self.api_version,
        }
        return self.endpoint_at(self.base_url, headers=headers)


def _code(answer: Answer) -> str:
    """Return whether a 403 is one of GitHub's two limits, and no refusal."""
    if answer.status != 403:
        return ""
    message = said_at(answer, "message")
    limited = isinstance(message, str) and "rate limit" in message.lower()
    used_up = answer.headers.get("x-ratelimit-remaining", "").strip() == "0"
    return LIMITED if limited or used_up or "retry-after" in answer.headers else ""


def _wait_s(answer: Answer, now_s: float) -> float | None:
    told = "retry-after" in answer.headers or answer.headers.get("x-ratelimit-remaining", "").strip() == "0"
    return WAIT_S if not told and (answer.status == 429 or _code(answer)) else None


github = Connector(
    "github",
    GithubSettings,
    dialect=Dialect(
        (
            Exceptional(
                403,
                403,
                "rate_limited",
                "`retry-after`, `x-ratelimit-remaining: 0` or a message about a rate limit: no refusal",
                frozenset({LIMITED}),
            ),
        ),
        code=_code,
        wait_s=_wait_s,
    ),
)


@github.action
async def create_issue(
    call: Call,
    *,
    repository: Repository,
    title: Annotated[str, Field(min_length=1, max_length=256)],
    body: Annotated[str, Field(max_length=65_536)] | None = None,
    labels: list[str] | None = None,
    assignees: list[str] | None = None,
    milestone: int | None = None,
) -> str:
    """Create an issue in ``repository`` (``owner/name``), at least once: a retry after a lost answer creates another.

    GitHub has no key to tell a repeat by.

    Returns:
        The issue's number.

    Raises:
        PermanentError: there is no such repository for this token, issues are off in it, or a field is refused.
        TransientError: GitHub limits the rate (429, and 403 with its signs), is failing, or could not be reached.
        CredentialsRefused: the token is refused, or may not do this.
    """
    issue = {"title": title, "body": body, "labels": labels, "assignees": assignees, "milestone": milestone}
    answer = await call.client.request("POST", f"/repos/{repository}/issues", json=_given(issue))
    return f"issue {repository}#{answer.text_at('number')}"


@github.action
async def create_comment(
    call: Call,
    *,
    repository: Repository,
    issue: Annotated[int, Field(ge=1)],
    body: Annotated[str, Field(min_length=1, max_length=65_536)],
) -> str:
    """Comment on an issue or a pull request, at least once: a retry after a lost answer comments again.

    GitHub has no key to tell a repeat by.

    Returns:
        The comment's id.

    Raises:
        PermanentError: there is no such issue for this token, or it is locked.
        TransientError: GitHub limits the rate (429, and 403 with its signs), is failing, or could not be reached.
        CredentialsRefused: the token is refused, or may not do this.
    """
    answer = await call.client.request("POST", f"/repos/{repository}/issues/{issue}/comments", json={"body": body})
    return f"comment {answer.text_at('id')} on {repository}#{issue}"


@github.action
async def dispatch(
    call: Call,
    *,
    repository: Repository,
    event_type: Annotated[str, Field(min_length=1, max_length=100)],
    client_payload: Annotated[dict[str, Any], Field(max_length=10)] | None = None,
) -> None:
    """Send a ``repository_dispatch`` event, at least once: a retry after a lost answer starts the workflows again.

    GitHub has no key to tell a repeat by: put one into ``client_payload``, and let the workflow look at it.

    Raises:
        PermanentError: there is no such repository for this token, or the payload is refused.
        TransientError: GitHub limits the rate (429, and 403 with its signs), is failing, or could not be reached.
        CredentialsRefused: the token is refused, or may not do this.
    """
    event = {"event_type": event_type, "client_payload": client_payload}
    await call.client.request("POST", f"/repos/{repository}/dispatches", json=_given(event))


@github.action
async def run_workflow(
    call: Call,
    *,
    repository: Repository,
    workflow: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,200}$")],
    ref: str,
    inputs: Annotated[dict[str, Any], Field(max_length=25)] | None = None,
) -> None:
    """Start a workflow (its file's name or id) at ``ref``, at least once: a retry after a lost answer starts it again.

    Raises:
        PermanentError: there is no such workflow for this token, it does not take ``workflow_dispatch``, or an input
            is refused.
        TransientError: GitHub limits the rate (429, and 403 with its signs), is failing, or could not be reached.
        CredentialsRefused: the token is refused, or may not do this.
    """
    path = f"/repos/{repository}/actions/workflows/{workflow}/dispatches"
    await call.client.request("POST", path, json=_given({"ref": ref, "inputs": inputs}))


def _given(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}
