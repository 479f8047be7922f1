"""S3, of Amazon or of anyone who speaks it: objects in one bucket.

Example::

    destinations:
      archive:
        connector: s3
        bucket: my-orders
        region: eu-central-1
        prefix: orders/
        access_key_id: AKIDEXAMPLE
        secret_access_key_env: S3_SECRET_ACCESS_KEY
    routes:
      - name: order-to-s3
        source: orders
        to: archive
        action: put_object
        with: {key: "{{ event.id }}.json", json: "{{ body }}"}

Source: docs.aws.amazon.com/AmazonS3, "PutObject", "Signature Version 4", "Error responses", "Virtual hosting of
buckets", "Best practices design patterns: optimizing performance"; boto3.amazonaws.com, "Credentials".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import quote

import orjson
from pydantic import Field, ValidationInfo, field_validator

from connectors.aws import DefaultChain, FixedKeys, Keys, KeySource, Signer, code_of
from connectors.connector import Call, Connector, EnvName, Extra
from connectors.content import is_base64, read_base64
from connectors.dialect import Dialect, Exceptional
from connectors.endpoint import Endpoint
from connectors.errors import PermanentError
from connectors.rules import exactly_one
from connectors.web_settings import BaseUrl, WebSettings

_KEYS = ("access_key_id", "secret_access_key_env", "session_token_env")
_HEADER_TEXT = re.compile(r"[\t\x20-\x7e]{0,1024}")

Key = Annotated[str, Field(min_length=1, max_length=1024)]


class S3Settings(WebSettings):
    """A destination of connector ``s3``: one bucket."""

    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    region: str = Field("us-east-1", pattern=r"^[a-z0-9-]{1,64}$")
    base_url: BaseUrl | None = Field(None, description="The service, if it is not Amazon's: https://minio.example.com.")
    addressing: Literal["virtual", "path"] = Field(
        "virtual", description="Whether the bucket stands in the host's name, or in the path, as most others want it."
    )
    prefix: str = Field("", max_length=512, description="What every key begins with; no key leaves it.")
    access_key_id: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]{3,128}$", description="With `credentials: keys`.")
    secret_access_key_env: EnvName | None = Field(None, description="With `credentials: keys`.")
    session_token_env: EnvName | None = Field(None, description="With temporary keys.")
    credentials: Literal["keys", "default_chain"] = Field(
        "keys",
        validate_default=True,
        description="`default_chain`: found as by AWS's own tools, in the environment, a web identity, files, or "
        "the role of a container or instance; renewed before they expire. Without it nothing of that is used.",
    )

    @field_validator("credentials")
    @classmethod
    def _one_source(cls, source: str, info: ValidationInfo) -> str:
        given = [key for key in _KEYS if info.data.get(key) is not None]
        missing = [key for key in _KEYS[:2] if key in info.data and key not in given]  # what is wrong is not missing
        if source == "default_chain" and given:
            raise ValueError(f"default_chain goes not with {given[0]}")
        if source == "keys" and missing:
            raise ValueError(f"needs {' and '.join(missing)}, or credentials: default_chain")
        return source

    def endpoint(self, secrets: Mapping[str, str]) -> Endpoint:
        """Return the bucket's address, and what signs each request."""
        service = self.base_url or f"https://s3.{self.region}.amazonaws.com"
        scheme, _, host = service.partition("://")
        address = f"{service}/{self.bucket}" if self.addressing == "path" else f"{scheme}://{self.bucket}.{host}"
        return self.endpoint_at(address, auth=Signer(self._source(secrets), self.region))

    def _source(self, secrets: Mapping[str, str]) -> KeySource:
        if self.access_key_id is None:
            return DefaultChain(self.region)
        return FixedKeys(Keys(self.access_key_id, secrets["secret_access_key_env"], secrets.get("session_token_env")))


s3 = Connector(
    "s3",
    S3Settings,
    dialect=Dialect(
        (
            Exceptional(
                503, 503, "rate_limited", "SlowDown: too many requests under one prefix", frozenset({"SlowDown"})
            ),
            Exceptional(
                400,
                403,
                "transient",
                "RequestTimeout, or RequestTimeTooSkewed: set the clock right",
                frozenset({"RequestTimeout", "RequestTimeTooSkewed"}),
            ),
            Exceptional(
                400,
                404,
                "credentials_refused",
                "the credentials have expired, or there is no such bucket",
                frozenset({"ExpiredToken", "InvalidToken", "TokenRefreshRequired", "NoSuchBucket"}),
            ),
            Exceptional(412, 412, "permanent", "there is an object of this key, and it was not to be replaced"),
        ),
        code=code_of,
    ),
    extra=Extra("botocore", "s3"),
)


@s3.action_with(exactly_one("body", "body_base64", "json"), is_base64("body_base64"))
async def put_object(
    call: Call,
    *,
    key: Key,
    body: str | None = None,
    body_base64: str | None = None,
    json: Any = None,
    content_type: str | None = None,
    metadata: Annotated[dict[str, str], Field(max_length=50)] | None = None,
    storage_class: Annotated[str, Field(pattern=r"^[A-Z_]{1,40}$")] | None = None,
    replace: bool = True,
) -> str:
    """Write one object, at least once: a repeat writes the same object again.

    Exactly one of ``body`` (text), ``body_base64`` (raw bytes) and ``json`` is written. ``key`` stays under the
    destination's ``prefix`` whatever it holds. With ``replace: false``, an object that is there already is a refusal.

    Returns:
        The object's key.

    Raises:
        PermanentError: there is nothing to write, the key is none, or S3 refuses the object.
        TransientError: S3 asks for fewer calls, is failing, or could not be reached.
        CredentialsRefused: the credentials are refused or may not write here, or there is no such bucket.
    """
    content, default_type = _content(body, body_base64, json)
    headers = {
        "content-type": content_type or default_type,
        "x-amz-content-sha256": hashlib.sha256(content).hexdigest(),
    }
    headers |= {f"x-amz-meta-{name.lower()}": value for name, value in (metadata or {}).items()}
    if not all(_HEADER_TEXT.fullmatch(value) for value in headers.values()):
        raise PermanentError("content_type or metadata holds a character that a header does not allow")
    if storage_class is not None:
        headers["x-amz-storage-class"] = storage_class
    if not replace:
        headers["if-none-match"] = "*"
    whole = f"{call.settings.prefix}{key}"
    await call.client.request("PUT", "/" + quote(whole, safe="/-_.~"), body=content, headers=headers)
    return f"object {whole}"


def _content(body: str | None, body_base64: str | None, json: Any) -> tuple[bytes, str]:
    try:
        if body is not None:
            return body.encode(), "text/plain; charset=utf-8"
        if body_base64 is not None:
            return read_base64(body_base64, "body_base64"), "application/octet-stream"
        return orjson.dumps(json), "application/json"
    except (TypeError, ValueError):
        raise PermanentError("the body cannot be encoded") from None
