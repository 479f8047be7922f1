"""Bodies are read as their content type says, within bounds."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from urllib.parse import urlencode

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.body import JSON_DEPTH_MAX, PARTS_MAX, BodyTooLarge, MalformedBody, UnsupportedBody, inflate, parse_body

FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def parse(body: bytes, content_type: str = "application/json", encoding: str = "", limit: int = 100_000) -> object:
    return parse_body(body, content_type, encoding, body_bytes_max=limit)


@given(
    st.binary(),
    st.sampled_from(["", "application/json", "text/plain", FORM, MULTIPART]) | texts,
    texts,
)
def test_any_body_is_read_or_refused_in_one_of_three_ways(body: bytes, content_type: str, encoding: str) -> None:
    for coding in ("", encoding, "gzip"):
        try:
            parse(body, content_type, coding)
        except (MalformedBody, UnsupportedBody, BodyTooLarge):
            continue


@given(st.dictionaries(texts, st.integers(-(2**53), 2**53) | texts | st.none(), max_size=5))
def test_json_is_read(value: dict[str, object]) -> None:
    encoded = orjson.dumps(value)
    for content_type in ("application/json", "", "application/vnd.api+json; charset=utf-8", "Application/JSON"):
        assert parse(encoded, content_type) == value


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"\xff", b"{} {}", b"NaN", b'{"a":1,}'])
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        parse(body)


@given(st.dictionaries(texts, texts, max_size=5))
def test_a_form_is_read(form: dict[str, str]) -> None:
    assert parse(urlencode(form).encode(), FORM) == form


def test_a_repeated_field_of_a_form_is_a_list() -> None:
    assert parse(b"a=1&b=&a=2&a=3", FORM) == {"a": ["1", "2", "3"], "b": ""}


@pytest.mark.parametrize("body", [b"a", b"=&=&x", b"&".join(b"a=1" for _ in range(20_000)), b"a=%ff\xff"])
def test_what_is_no_form_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        parse(body, FORM)


def test_text_and_xml_are_text() -> None:
    assert parse("café".encode("latin-1"), "text/plain; charset=iso-8859-1") == "café"
    assert parse(b"<a/>", "application/soap+xml") == "<a/>"


@pytest.mark.parametrize(
    "content_type",
    [
        "application/octet-stream",
        "image/png",
        "multipart/mixed",
        "text/plain; charset=nope",
        "text/plain; charset=punycode",
    ],
)
def test_other_types_are_not_supported(content_type: str) -> None:
    with pytest.raises(UnsupportedBody):
        parse(b"x", content_type)


@given(st.binary(max_size=2000))
def test_compressed_bodies_are_inflated(body: bytes) -> None:
    assert inflate(gzip.compress(body), "gzip", body_bytes_max=2000) == body
    assert inflate(zlib.compress(body), " Deflate ", body_bytes_max=2000) == body
    assert inflate(body, "identity", body_bytes_max=0) == body


def test_inflation_stops_at_the_limit() -> None:
    bomb = gzip.compress(b"0" * 50_000_000)
    with pytest.raises(BodyTooLarge):
        inflate(bomb, "gzip", body_bytes_max=1000)


@pytest.mark.parametrize(
    "broken", [b"", b"x", gzip.compress(b"abc", mtime=0)[:-3], gzip.compress(b"abc", mtime=0) + b"tail"]
)
def test_broken_compression_is_malformed(broken: bytes) -> None:
    with pytest.raises(MalformedBody):
        inflate(broken, "gzip", body_bytes_max=1000)


def part(name: str, content: bytes, *lines: str) -> bytes:
    head = [f'Content-Disposition: form-data; name="{name}"', *lines]
    return b"--x\r\n" + "\r\n".join(head).encode() + b"\r\n\r\n" + content + b"\r\n"


def test_the_parts_of_a_multipart_body_are_fields_and_files() -> None:
    body = part("to", b"a@example.com") + part("to", b"b@example.com") + part("subject", "Größe".encode())
    file = 'Content-Disposition: form-data; name="attachment-1"; filename="a.bin"'
    body += b"--x\r\n" + file.encode() + b"\r\nContent-Type: image/png\r\n\r\n\x00\xff\r\n--x--\r\n"
    assert parse(body, 'multipart/form-data; boundary="x"; charset=utf-8') == {
        "to": ["a@example.com", "b@example.com"],
        "subject": "Größe",
        "attachment-1": {
            "filename": "a.bin",
            "content_type": "image/png",
            "size": 2,
            "content_b64": base64.b64encode(b"\x00\xff").decode(),
        },
    }
    latin = part("a", "é".encode("latin-1"), "Content-Type: text/plain; charset=iso-8859-1") + b"--x--"
    assert parse(latin, MULTIPART) == {"a": "é"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--x",
        b"--x\r\n",
        b"--y\r\n--y--",
        part("a", b"1"),
        part("a", b"\xff") + b"--x--",
        part("a", b"1", *[f"X-{number}: 1" for number in range(20)]) + b"--x--",
        part("a", b"1", "X-Long: " + "a" * 5000) + b"--x--",
        part("a", b"1", "Content-Length: 7") + b"--x--",
        b"--x\r\nContent-Type: text/plain\r\n\r\n1\r\n--x--",
        b"--x\r\nContent-Disposition: attachment\r\n\r\n1\r\n--x--",
        b"".join(part("a", b"1") for _ in range(PARTS_MAX + 1)) + b"--x--",
    ],
)
def test_what_is_no_multipart_body_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        parse(body, MULTIPART, limit=1_000_000)


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=é"]
)
def test_a_multipart_body_needs_its_boundary(content_type: str) -> None:
    with pytest.raises(MalformedBody):
        parse(part("a", b"1") + b"--x--", content_type)


@given(st.lists(st.binary(max_size=60)), st.sampled_from(["", "gzip"]))
def test_any_multipart_body_is_read_or_refused(pieces: list[bytes], encoding: str) -> None:
    body = b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n" + b"\r\n--x".join(pieces)
    try:
        parse(gzip.compress(body) if encoding else body, MULTIPART, encoding)
    except (MalformedBody, UnsupportedBody):
        return


@pytest.mark.parametrize(("left", "right"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
def test_json_is_nested_up_to_a_bound_and_what_is_read_can_be_written(left: bytes, right: bytes) -> None:
    levels = JSON_DEPTH_MAX // (2 if left.startswith(b"[{") else 1)
    assert orjson.dumps(parse(left * levels + b"1" + right * levels))
    with pytest.raises(MalformedBody, match="deep"):
        parse(left * (levels + 1) + b"1" + right * (levels + 1))


def test_wide_json_is_not_deep() -> None:
    wide = orjson.dumps([{"text": "[" * 300, "items": [{}] * 300}] * 5)
    assert parse(wide) == orjson.loads(wide)


def test_a_byte_order_mark_is_passed_over() -> None:
    assert parse(b"\xef\xbb\xbf{}") == {}
    assert parse("{}".encode("utf-16"), "application/json; charset=utf-16") == {}
    assert parse(b"{}", "application/json; charset=ascii") == {}


def test_xml_is_kept_as_it_is_and_never_parsed() -> None:
    bomb = '<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c SYSTEM "file:///etc/passwd">]><a>&b;&c;</a>'
    for content_type in ("application/xml", "text/xml; charset=utf-8", "application/soap+xml"):
        assert parse(bomb.encode(), content_type) == bomb


@given(st.lists(st.sampled_from([r"\ud83d", r"\uDE00", r"\ud83d\ude00", r"\\", r"\n", r"\"", "ud800", "é", r"\u0041"])))
def test_half_of_a_surrogate_pair_is_a_replacement_character(pieces: list[str]) -> None:
    text = f'{{"text": "{"".join(pieces)}"}}'
    lenient = json.loads(text)["text"]
    read = parse_body(text.encode(), "application/json", "", body_bytes_max=10_000)
    assert isinstance(read, dict)
    assert read["text"] == "".join("\ufffd" if "\ud800" <= letter <= "\udfff" else letter for letter in lenient)


@pytest.mark.parametrize("piece", [rb"\ud800", rb"\n", rb"\\", rb"\ud83d\ude00", rb"\ud8", b"\\", b"[", b"x"])
def test_a_body_that_is_no_json_is_refused_in_linear_time(piece: bytes) -> None:
    with pytest.raises(MalformedBody):
        parse_body(b'["' + piece * (1_000_000 // len(piece)) + b'"]x', "application/json", "", body_bytes_max=2**21)
