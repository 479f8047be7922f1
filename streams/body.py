"""A body as expressions see it: inflated and read by its content type, within bounds of size, number and depth."""

from __future__ import annotations

import base64
import re
import zlib
from email.message import Message
from urllib.parse import parse_qsl

import multipart
import orjson

FORM_FIELDS_MAX = 10_000
PARTS_MAX = 1_000  # of a multipart body
PART_HEADERS_MAX = 8
PART_HEADER_BYTES_MAX = 4096
JSON_DEPTH_MAX = 200  # orjson reads 1,024 levels and writes 254; what was accepted must also be written

# Text encodings that take linear time; Python knows others, such as punycode, that do not.
_CHARSETS = re.compile(
    r"utf-?8|(us-)?ascii|utf-?(16|32)(-?[lb]e)?|iso-8859-[0-9]{1,2}|latin-?1|windows-12[0-9]{2}|cp12[0-9]{2}|koi8-[ru]"
    r"|shift_jis|euc-(jp|kr)|iso-2022-jp|gbk|gb2312|gb18030|big5",
    re.ASCII,
)
_BOM = b"\xef\xbb\xbf"
# All of a JSON text but halves of surrogate pairs: characters, other escapes (`\\\\ud800` is one and four letters),
# whole pairs; else such a half. Each match is taken whole (`++`), so that the time is linear.
_HALF = rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
_PAIR = rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_HALVES = re.compile(rb"((?:[^\\]|(?!" + _HALF + rb")\\.|" + _PAIR + rb")++)|" + _HALF, re.DOTALL)


class MalformedBody(ValueError):
    """The body is not what its content type or content encoding says."""


class UnsupportedBody(ValueError):
    """The content type or content encoding is none that Headrace reads."""


class BodyTooLarge(ValueError):
    """The body, after inflation, is larger than the source allows."""


def parse_body(body: bytes, content_type: str, content_encoding: str, *, body_bytes_max: int) -> object:
    """Return the body as expressions see it.

    JSON gives its value; a form gives a dict of str, with a list where a field is repeated, and so does
    multipart/form-data, in which a file is a dict of ``filename``, ``content_type``, ``size`` and ``content_b64``; text
    and XML give a str. A body without a content type is read as JSON. ``gzip`` and ``deflate`` are inflated, to
    ``body_bytes_max``.

    Raises:
        MalformedBody: the body is not what its content type, charset or content encoding says, or has too many
            fields, or is nested too deep.
        UnsupportedBody: no reader for this content type, charset or content encoding.
        BodyTooLarge: more than ``body_bytes_max`` after inflation.
    """
    body = inflate(body, content_encoding, body_bytes_max=body_bytes_max)
    if content_type in ("application/json", ""):  # by far the most frequent; the parser below costs 20 times as much
        return _parse_json(body, "utf-8")
    message = Message()
    message["content-type"] = content_type.replace("\r", " ").replace("\n", " ")
    media_type = message.get_content_type() if "/" in content_type else content_type.lower()
    charset = message.get_content_charset("utf-8")
    if media_type in ("", "application/json") or media_type.endswith("+json"):
        return _parse_json(body, charset)
    if media_type == "application/x-www-form-urlencoded":
        return _parse_form(body, charset)
    if media_type == "multipart/form-data":
        return _parse_multipart(body, message.get_boundary(), charset)
    if media_type.startswith("text/") or media_type == "application/xml" or media_type.endswith("+xml"):
        return _decode(body, charset)
    raise UnsupportedBody(f"the content type {media_type!r} is not supported")


def inflate(body: bytes, content_encoding: str, *, body_bytes_max: int) -> bytes:
    """Return the body without its content encoding, never holding more than ``body_bytes_max`` of output.

    Raises:
        MalformedBody, UnsupportedBody, BodyTooLarge: as `parse_body`.
    """
    encoding = content_encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise UnsupportedBody("the content encoding is not supported: use gzip, deflate or none")
    # 47: zlib or gzip framing by its own header. "deflate" is zlib framing (RFC 9110, 8.4.1.2).
    inflater = zlib.decompressobj(wbits=47)
    try:
        output = inflater.decompress(body, body_bytes_max + 1)
    except zlib.error as error:
        raise MalformedBody("the body does not inflate") from error
    if len(output) > body_bytes_max:
        raise BodyTooLarge(f"the inflated body is larger than {body_bytes_max} bytes")
    if not inflater.eof or inflater.unused_data:
        raise MalformedBody("the compressed body is cut short or has a tail")
    return output


def _decode(body: bytes, charset: str) -> str:
    if _CHARSETS.fullmatch(charset) is None:
        raise UnsupportedBody("the charset is not supported")
    try:
        return body.decode(charset)
    except UnicodeDecodeError as error:
        raise MalformedBody(f"the body is not {charset}") from error
    except LookupError as error:
        raise UnsupportedBody("the charset is not supported") from error


def _parse_json(body: bytes, charset: str) -> object:
    text = body.removeprefix(_BOM)
    if charset not in ("utf-8", "utf8", "us-ascii"):
        text = _decode(body, charset).encode()
    try:
        value = _load_json(text)
    except orjson.JSONDecodeError as error:
        raise MalformedBody("the body is not valid JSON") from error
    # Brackets in strings are counted too: this only spares small bodies the look.
    if (body.count(b"[") + body.count(b"{")) > JSON_DEPTH_MAX and _is_deeper(value, JSON_DEPTH_MAX):
        raise MalformedBody(f"the body is nested more than {JSON_DEPTH_MAX} deep")
    return value


def _load_json(text: bytes) -> object:
    """Return the value; what is half of a surrogate pair becomes U+FFFD.

    RFC 8259 (8.2) allows it: a sender that cuts a text within an emoji writes one. orjson refuses it.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        mended = _HALVES.sub(lambda match: match[1] or b"\\ufffd", text)
        if mended == text:
            raise
        return orjson.loads(mended)


def _is_deeper(value: object, depth: int) -> bool:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(depth):
        level = [
            child
            for node in level
            for child in (node.values() if type(node) is dict else node)
            if type(child) is dict or type(child) is list
        ]
        if not level:
            return False
    return True


def _parse_form(body: bytes, charset: str) -> dict[str, object]:
    text = _decode(body, charset)
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=FORM_FIELDS_MAX)
    except ValueError as error:
        raise MalformedBody("the body is not a form, or has too many fields") from error
    return _fields(pairs)


def _parse_multipart(body: bytes, boundary: str | None, charset: str) -> dict[str, object]:
    try:
        parser = multipart.PushMultipartParser(
            boundary or "",
            content_length=len(body),
            max_header_size=PART_HEADER_BYTES_MAX,
            max_header_count=PART_HEADERS_MAX,
            max_segment_count=PARTS_MAX,
            strict=True,
        )
        with parser:
            return _fields(_parts(parser, body, charset))
    except (multipart.MultipartError, UnicodeEncodeError) as error:
        raise MalformedBody("the body is not multipart/form-data, or has too many parts") from error


def _parts(parser: multipart.PushMultipartParser, body: bytes, charset: str) -> list[tuple[str, object]]:
    parts: list[tuple[str, object]] = []
    content: list[bytes] = []
    current: multipart.MultipartSegment | None = None
    for event in parser.parse(body):
        if isinstance(event, multipart.MultipartSegment):
            current, content = event, []
        elif event is not None:
            content.append(event)
        elif current is not None:
            parts.append((current.name or "", _part(current, b"".join(content), charset)))
    return parts


def _part(segment: multipart.MultipartSegment, content: bytes, charset: str) -> object:
    if segment.filename is None:
        return _decode(content, (segment.charset or charset).lower())
    return {
        "filename": segment.filename,
        "content_type": segment.content_type or "application/octet-stream",
        "size": len(content),
        "content_b64": base64.b64encode(content).decode(),
    }


def _fields(pairs: list[tuple[str, object]] | list[tuple[str, str]]) -> dict[str, object]:
    """Return the fields by name; what is repeated is a list."""
    fields: dict[str, object] = {}
    for name, value in pairs:
        earlier = fields.get(name)
        if earlier is None:
            fields[name] = value
        elif isinstance(earlier, list):
            earlier.append(value)
        else:
            fields[name] = [earlier, value]
    return fields
