"""Bodies of requests: JSON, a form, a form with files, text or bytes."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Any, Self
from urllib.parse import urlencode

import orjson
from pydantic import BaseModel, ConfigDict, Field, model_validator

from connectors.endpoint import Scalar
from connectors.errors import PermanentError
from connectors.rules import Given, Rule, exactly_one

_FileName = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f/\\]+$")]
_ContentType = Annotated[str, Field(max_length=255, pattern=r"^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(;[ -~]*)?$")]


class File(BaseModel):
    """A file in a request: its name, and its content as text (``content``) or as Base64 (``content_base64``)."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    name: _FileName
    content: str | None = Field(None, repr=False)
    content_base64: str | None = Field(None, repr=False)
    content_type: _ContentType = "application/octet-stream"

    @model_validator(mode="after")
    def _one_content(self) -> Self:
        # As if written, since that is checked too: what only looks like an expression, `read` finds.
        given = Given({"content": self.content, "content_base64": self.content_base64}, written=True)
        if said := exactly_one("content", "content_base64")(given, None):
            raise ValueError(said)
        return self

    def read(self) -> bytes:
        """Return the content.

        Raises:
            PermanentError: there is none, there are two, or it is not Base64 or not encodable.
        """
        if (self.content is None) == (self.content_base64 is None):
            raise PermanentError(f"the file {self.name} needs content or content_base64, and not both")
        if self.content_base64 is not None:
            return read_base64(self.content_base64, f"the file {self.name}")
        return _utf8(self.content or "")


Part = Scalar | File
Form = Mapping[str, Scalar | list[Scalar]]
Parts = Mapping[str, Part | list[Part]]


def read_base64(text: str, what: str) -> bytes:
    """Return what Base64 ``text`` holds, of either alphabet, white space and missing padding allowed.

    Raises:
        PermanentError: it is not Base64; names ``what``.
    """
    plain = "".join(text.split()).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise PermanentError(f"{what} is not Base64") from None


def is_base64(name: str) -> Rule:
    """Return the rule that a parameter is Base64, for what the routing table holds; `read_base64` judges the rest."""

    def rule(given: Given, settings: object) -> str:
        text = given.mapping.get(name)
        if not given.written or not isinstance(text, str) or not given.knows(text):
            return ""
        try:
            read_base64(text, name)
        except PermanentError as error:
            return str(error)
        return ""

    return rule


def encode(
    *, json: object = None, form: Form | None = None, multipart: Parts | None = None, body: str | bytes | None = None
) -> tuple[str, bytes | None]:
    """Return the content type and the bytes of at most one of these; ``""`` and None without any.

    Raises:
        PermanentError: there are several, or it cannot be encoded.
    """
    if sum(value is not None for value in (json, form, multipart, body)) > 1:
        raise PermanentError("only one of json, form, multipart and a body can be sent")
    if json is not None:
        try:
            return "application/json", orjson.dumps(json)
        except (TypeError, ValueError):  # values that JSON lacks, numbers beyond 64 bits, lone surrogates
            raise PermanentError("the body cannot be encoded as JSON") from None
    if multipart is not None:
        return _multipart(multipart)
    if form is not None:
        return "application/x-www-form-urlencoded", _utf8(_urlencoded(form))
    if isinstance(body, str):
        return "text/plain; charset=utf-8", _utf8(body)
    return ("application/octet-stream", body) if body is not None else ("", None)


def _urlencoded(form: Form) -> str:
    pairs = [(name, as_text(item)) for name, value in form.items() for item in _items(value) if item is not None]
    try:
        return urlencode(pairs)
    except UnicodeError:
        raise PermanentError("the body cannot be encoded") from None


def _multipart(parts: Parts) -> tuple[str, bytes]:
    import httpx  # a tenth of a second, which checking a routing table need not take

    files: list[tuple[str, Any]] = []
    for name, value in parts.items():
        for item in _items(value):
            if isinstance(item, File):
                files.append((name, (item.name, item.read(), item.content_type)))
            elif item is not None:
                files.append((name, (None, _utf8(as_text(item)))))
    if not files:
        raise PermanentError("multipart holds no part")
    try:
        request = httpx.Request("POST", "http://localhost", files=files)
        return request.headers["content-type"], request.read()
    except UnicodeError:
        raise PermanentError("the body cannot be encoded") from None


def as_text(value: Scalar) -> str:
    """Return a scalar as forms and queries hold it: ``true`` and ``false`` as JSON has them, ``""`` for null."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeError:
        raise PermanentError("the body cannot be encoded") from None
