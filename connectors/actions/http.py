"""Any HTTP API: one request under a configured base URL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from connectors.connector import Call, Connector, DestinationSettings, EnvName
from connectors.endpoint import Endpoint, Scalar, check_headers, read_base_url


class HttpSettings(DestinationSettings):
    """A destination of connector ``http``."""

    base_url: Annotated[str, AfterValidator(read_base_url)] = Field(description="http or https; no call leaves it.")
    token_env: EnvName | None = Field(None, description="Sent as Authorization: Bearer.")
    headers: Annotated[dict[str, str], AfterValidator(check_headers)] = Field(
        default={}, description="Sent with every call. No credentials: those come from the environment."
    )

    def endpoint(self, secrets: Mapping[str, str]) -> Endpoint:
        """Return the base URL, and the static headers with the bearer token."""
        token = secrets.get("token_env")
        return Endpoint(self.base_url, {**self.headers, **({"authorization": f"Bearer {token}"} if token else {})})


http = Connector("http", HttpSettings)


@http.action
async def request(
    call: Call,
    *,
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "POST",
    path: str = "",
    json: object = None,
    form: dict[str, Scalar | list[Scalar]] | None = None,
    body: str | None = None,
    query: dict[str, Scalar | list[Scalar]] | None = None,
    headers: dict[str, str] | None = None,
) -> None:
    """Send one request, at least once: a retry after a lost answer sends it again, with the same ``Idempotency-Key``.

    At most one of ``json``, ``form`` and ``body`` is sent. ``path`` stays under ``base_url`` whatever it holds, and
    redirects are not followed. Any answer of status 2xx is a success; of its body nothing is kept.

    Raises:
        PermanentError: the request cannot be built, or the answer is a refusal (4xx but those below, or 3xx).
        TransientError: 408, 409, 425, 429, 5xx, no answer in time, or no connection.
        CredentialsRefused: 401 or 403.
    """
    await call.client.request(method, path, json=json, form=form, body=body, query=query, headers=headers)
