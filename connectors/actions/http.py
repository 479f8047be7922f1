"""Any HTTP API: one request under a configured base URL.

Example::

    destinations:
      crm:
        connector: http
        base_url: https://crm.example.com/api
        token_url: https://login.example.com/oauth/token
        client_id: headrace
        client_secret_env: CRM_CLIENT_SECRET
    routes:
      - name: order-to-crm
        source: orders
        to: crm
        action: request
        with:
          method: PUT
          path: /orders/{{ body.id }}
          json: {total: "{{ body.total }}"}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from connectors.auth import Auth, FixedHeaders, basic, client_credentials
from connectors.connector import Call, Connector, EnvName
from connectors.content import Part, is_base64, read_base64
from connectors.endpoint import Endpoint, Scalar, check_headers, join_url
from connectors.parameters import UrlPath
from connectors.rules import at_most_one
from connectors.web_settings import BaseUrl, WebSettings

_CREDENTIALS = ("token_env", "password_env", "api_key_env", "client_secret_env")


def _check_path(path: str) -> str:
    join_url("https://base.invalid", path)
    return path


def _check_names(headers: dict[str, str]) -> dict[str, str]:
    check_headers(dict.fromkeys(headers, ""))
    return headers


def _check_value(value: str) -> str:
    try:
        check_headers({"x": value})
    except ValueError:
        raise ValueError("holds a character that HTTP does not allow, or is too long") from None
    return value


# Checked where a table is written, and where an event is tried, and not only by the call that they make impossible.
Path = Annotated[str, AfterValidator(_check_path), UrlPath()]
Headers = Annotated[dict[str, Annotated[str, AfterValidator(_check_value)]], AfterValidator(_check_names)]


class HttpSettings(WebSettings):
    """A destination of connector ``http``: at most one of four credentials, and a client certificate besides."""

    base_url: BaseUrl = Field(description="http or https; no call leaves it.")
    headers: Annotated[dict[str, str], AfterValidator(check_headers)] = Field(
        default={}, description="Sent with every call. No credentials: those come from the environment."
    )
    token_env: EnvName | None = Field(None, description="Sent as Authorization: Bearer.")
    username: str | None = Field(None, pattern=r"^[^:\x00-\x1f\x7f]*$", description="With password_env: Basic.")
    password_env: EnvName | None = Field(None, description="Sent with username as Authorization: Basic.")
    api_key_header: str = Field("X-API-Key", pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$")
    api_key_query: str | None = Field(None, min_length=1, description="A query parameter in place of the header.")
    api_key_env: EnvName | None = Field(None, description="Sent in api_key_header, or in api_key_query.")
    token_url: BaseUrl | None = Field(None, description="OAuth 2 client credentials: where tokens are to be had.")
    client_id: str | None = Field(None, min_length=1)
    scope: str | None = None
    audience: str | None = None
    client_auth: Literal["header", "body"] = Field("header", description="Where client_id and secret are sent.")
    client_secret_env: EnvName | None = Field(None, description="With token_url and client_id: OAuth 2.")
    client_cert_env: EnvName | None = Field(None, description="Mutual TLS: the certificate (and chain), as PEM.")
    client_key_env: EnvName | None = Field(None, description="Mutual TLS: the certificate's key, as PEM.")

    @field_validator("password_env", "api_key_env", "client_secret_env")
    @classmethod
    def _one_credential(cls, name: str | None, info: ValidationInfo) -> str | None:
        others = [key for key in _CREDENTIALS if key != info.field_name and info.data.get(key) is not None]
        if name is not None and others:
            raise ValueError(f"goes not with {others[0]}: a destination has one credential")
        return name

    @field_validator("password_env", "client_secret_env", "client_key_env")
    @classmethod
    def _complete(cls, name: str | None, info: ValidationInfo) -> str | None:
        needed = {
            "password_env": ("username",),
            "client_secret_env": ("token_url", "client_id"),
            "client_key_env": ("client_cert_env",),
        }[info.field_name or ""]
        missing = [key for key in needed if info.data.get(key) is None]
        if name is not None and missing:
            raise ValueError(f"needs {' and '.join(missing)} too")
        return name

    def endpoint(self, secrets: Mapping[str, str]) -> Endpoint:
        """Return the base URL, with what every call carries and how it is known."""
        headers, query = dict(self.headers), []
        if "token_env" in secrets:
            headers["authorization"] = f"Bearer {secrets['token_env']}"
        elif "password_env" in secrets:
            headers["authorization"] = basic(self.username or "", secrets["password_env"])
        elif "api_key_env" in secrets and self.api_key_query is not None:
            query.append((self.api_key_query, secrets["api_key_env"]))
        return self.endpoint_at(
            self.base_url,
            headers=headers,
            query=tuple(query),
            auth=self._auth(secrets),
            certificate=secrets.get("client_cert_env"),
            key=secrets.get("client_key_env"),
        )

    def _auth(self, secrets: Mapping[str, str]) -> Auth | None:
        if "api_key_env" in secrets and self.api_key_query is None:
            return FixedHeaders({self.api_key_header.lower(): secrets["api_key_env"]})
        if "client_secret_env" not in secrets or self.token_url is None or self.client_id is None:
            return None
        return client_credentials(
            self.token_url,
            client_id=self.client_id,
            client_secret=secrets["client_secret_env"],
            scope=self.scope,
            audience=self.audience,
            sent_in=self.client_auth,
        )


http = Connector("http", HttpSettings)


@http.action_with(at_most_one("json", "form", "multipart", "body", "body_base64"), is_base64("body_base64"))
async def request(
    call: Call,
    *,
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = "POST",
    path: Path = "",
    json: object = None,
    form: dict[str, Scalar | list[Scalar]] | None = None,
    multipart: dict[str, Part | list[Part]] | None = None,
    body: str | None = None,
    body_base64: str | None = None,
    query: dict[str, Scalar | list[Scalar]] | None = None,
    headers: Headers | None = None,
) -> None:
    """Send one request, at least once: a retry after a lost answer sends it again, with the same ``Idempotency-Key``.

    At most one of ``json``, ``form``, ``multipart``, ``body`` and ``body_base64`` (raw bytes) is sent. A value of
    ``multipart`` is text, or a file: ``{name: …, content: … or content_base64: …, content_type: …}``. ``path`` stays
    under ``base_url`` whatever it holds. A value in it is one part of it, percent-encoded, also with slashes, and is
    refused if it is null or empty; only a path that is one whole expression is taken as it stands.
    Redirects are followed within the host alone. Any answer of status 2xx is a success; of its body nothing is kept.

    Raises:
        PermanentError: the request cannot be built, or the answer is a refusal (4xx but those below, or 3xx).
        TransientError: 408, 409, 425, 429, 5xx, no answer in time, or no connection.
        CredentialsRefused: 401 or 403, or no OAuth token is given.
    """
    raw = None if body_base64 is None else read_base64(body_base64, "body_base64")
    await call.client.request(
        method,
        path,
        json=json,
        form=form,
        multipart=multipart,
        body=raw if body is None else body,
        query=query,
        headers=headers,
    )
