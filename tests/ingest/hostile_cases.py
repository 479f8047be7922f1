"""Requests that nobody should send, each with the statuses that HTTP (RFC 9110, 9112) and the interface allow.

0: no answer, the connection closes.
"""

from __future__ import annotations

import gzip
import hashlib
import hmac
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

SECRET = "s3cret"
JSON = ("Content-Type", "application/json")
FORM = ("Content-Type", "application/x-www-form-urlencoded")
BODY = b'{"id": "e-1"}'

OK, BAD, UNSIGNED, LARGE, MEDIA = (200,), (400,), (401,), (413,), (415,)
NOT_FOUND, NOT_ALLOWED, CLOSED = (404,), (405,), (0,)

Header = tuple[str | bytes, str | bytes]


@dataclass(frozen=True)
class Case:
    name: str
    sent: bytes
    statuses: tuple[int, ...]
    ends: bool = False  # the sender closes its side after the last byte


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def http(
    *headers: Header,
    body: bytes = BODY,
    target: str | bytes = "/webhook/open",
    method: str | bytes = "POST",
    version: str | bytes = "HTTP/1.1",
    host: bool = True,
    length: bool = True,
) -> bytes:
    """Return a request as bytes; nothing is checked."""
    lines = [b"%b %b %b" % (_bytes(method), _bytes(target), _bytes(version))]
    given = [*([("Host", "x")] if host else []), *headers, *([("Content-Length", str(len(body)))] if length else [])]
    lines += [_bytes(name) + b": " + _bytes(value) for name, value in given]
    return b"\r\n".join([*lines, b"", b""]) + body


def raw_header(line: bytes) -> bytes:
    """Return a good request with one more line in its head."""
    return http(JSON).replace(b"Host: x\r\n", b"Host: x\r\n" + line + b"\r\n")


def chunked(body: bytes, *headers: Header) -> bytes:
    return http(JSON, ("Transfer-Encoding", "chunked"), *headers, body=body, length=False)


def signature(body: bytes = BODY) -> str:
    return "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()


def signed(*headers: Header, body: bytes = BODY) -> bytes:
    return http(
        JSON, ("X-GitHub-Event", "push"), ("X-GitHub-Delivery", "d"), *headers, body=body, target="/webhook/signed"
    )


def cases() -> Iterator[Case]:
    yield from _framing()
    yield from _lengths()
    yield from _chunks()
    yield from _sizes()
    yield from _targets()
    yield from _methods()
    yield from _json()
    yield from _ids()
    yield from _encodings()
    yield from _types()
    yield from _signatures()
    yield from _sequences()


def _framing() -> Iterator[Case]:
    good = http(JSON)
    yield Case("nothing", b"", CLOSED, ends=True)
    yield Case("one byte", b"P", (*BAD, *CLOSED), ends=True)
    yield Case("random bytes", bytes(range(256)) * 4, BAD)
    yield Case("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200 + b"\r\n\r\n", BAD)
    yield Case("the HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505))
    yield Case("HTTP/0.9", b"GET /webhook/open\r\n\r\n", (400, 405, 505))
    yield Case("HTTP/1.0", http(JSON, version="HTTP/1.0"), OK)
    yield Case("HTTP/1.0 without a host", http(JSON, version="HTTP/1.0", host=False), OK)
    for version in ("HTTP/3.0", "HTTP/1.2", "HTTP/1", "HTTP/1.1.1", "HTTP/a.b", "http/1.1", "ICY", "", "HTTP/1.1 x"):
        yield Case(f"the version {version!r}", http(JSON, version=version), (400, 505))
    yield Case("two spaces in the first line", good.replace(b"POST ", b"POST  ", 1), (200, 400))  # RFC 9112, 3: MAY
    yield Case("tabs in the first line", good.replace(b"POST ", b"POST\t", 1), BAD)
    yield Case("a space before the first line", b" " + good, BAD)
    yield Case("an empty line before the first", b"\r\n" + good, (200, 400))  # RFC 9112, 2.2: SHOULD ignore it
    yield Case("lines that end with LF alone", good.replace(b"\r\n", b"\n"), (200, 400))
    yield Case("lines that end with CR alone", good.replace(b"\r\n", b"\r") + b"\r\n\r\n", BAD)
    yield Case("a first line without an end", b"A" * 20_000, BAD)
    yield Case("NUL in the target", good.replace(b"open", b"op\0en", 1), BAD)
    yield Case("NUL in a header's name", raw_header(b"X-\0A: b"), BAD)
    yield Case("NUL in a header's value", raw_header(b"X-A: b\0c"), BAD)
    yield Case("CR in a header's value", raw_header(b"X-A: b\rX-B: c"), BAD)
    yield Case("a space before the colon", raw_header(b"X-A : b"), BAD)
    yield Case("a tab before the colon", raw_header(b"X-A\t: b"), BAD)
    yield Case("a header without a colon", raw_header(b"X-A"), BAD)
    yield Case("a header without a name", raw_header(b": b"), BAD)
    yield Case("a folded header", raw_header(b"X-A: b\r\n c"), BAD)
    yield Case("a folded first header", good.replace(b"Host: x", b" Host: x\r\nHost: x", 1), BAD)
    for number in (1, 8, 11, 27, 127):
        yield Case(f"control character {number} in a header's value", raw_header(b"X-A: b%cc" % number), BAD)
    for name in (b"X(A)", b"X,A", b"X/A", b"X A", b"X@A", b"X\xc3\xa9", b'X"A'):
        yield Case(f"the header name {name!r}", raw_header(name + b": b"), BAD)
    yield Case("a header's value that is not UTF-8", raw_header(b"X-Kept: \xff\xfe"), OK)
    yield Case("an emoji in a header's value", raw_header("X-Kept: \U0001f600".encode()), OK)
    yield Case("an empty header", raw_header(b"X-Kept:"), OK)
    yield Case("no host", http(JSON, host=False), BAD)
    yield Case("two hosts", http(JSON, ("Host", "y")), BAD)
    yield Case("a websocket", http(JSON, ("Upgrade", "websocket"), ("Connection", "Upgrade")), (200, 400))
    yield Case(
        "an upgrade to h2c", http(JSON, ("Upgrade", "h2c"), ("Connection", "Upgrade, HTTP2-Settings")), (200, 400)
    )
    yield Case("a head that is cut short", good[:30], (*BAD, *CLOSED), ends=True)


def _lengths() -> Iterator[Case]:
    def length(*values: str | bytes) -> bytes:
        return http(JSON, *(("Content-Length", value) for value in values), length=False)

    for value in (
        "-1",
        "+13",
        "0x0d",
        "1e1",
        "13 13",
        "13, 13",
        "13,13",
        "",
        "٣",
        "1_3",
        "13.0",
        "NaN",
        '"13"',
        "13;",
        "9" * 30,
    ):
        yield Case(f"Content-Length {value[:12]!r}", length(value), (400, 413) if value == "9" * 30 else BAD)
    yield Case("Content-Length of 2^64 + 13", length(str(2**64 + 13)), (400, 413))
    yield Case("Content-Length of 5 GB", length("5000000000"), LARGE)
    yield Case("two lengths, the same", length("13", "13"), BAD)
    yield Case("two lengths, different", length("13", "5"), BAD)
    yield Case("length and chunks", http(JSON, ("Transfer-Encoding", "chunked")), BAD)
    yield Case("chunks and length", http(("Content-Length", "13"), ("Transfer-Encoding", "chunked"), length=False), BAD)
    yield Case("no length", http(JSON, length=False, body=b""), (411,))
    for value in (
        "gzip",
        "identity",
        "xchunked",
        "chunked, gzip",
        "chunked, identity",
        "chunked;q=1",
        "",
        "chunked, chunked",
        "\x0bchunked",
        "cow",
    ):
        body = b"d\r\n" + BODY + b"\r\n0\r\n\r\n"
        yield Case(
            f"Transfer-Encoding {value!r}",
            http(JSON, ("Transfer-Encoding", value), body=body, length=False),
            (400, 411, 501),
        )
    twice = http(
        JSON, ("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked"), body=b"0\r\n\r\n", length=False
    )
    yield Case("Transfer-Encoding twice", twice, BAD)
    yield Case(
        "chunks in HTTP/1.0",
        http(("Transfer-Encoding", "chunked"), body=b"0\r\n\r\n", length=False, version="HTTP/1.0"),
        (200, 400, 411),
    )
    yield Case("a body that is cut short", http(JSON)[:-3], (*BAD, *CLOSED), ends=True)


def _chunks() -> Iterator[Case]:
    def sized(size: bytes, rest: bytes = b"") -> bytes:
        return chunked(size + b"\r\n" + BODY + b"\r\n0\r\n" + rest + b"\r\n")

    yield Case("good chunks", sized(b"d"), OK)
    yield Case("a chunk extension", sized(b"d;a=b"), OK)
    yield Case("a quoted chunk extension", sized(b'd;a="b c"'), OK)
    yield Case("a chunk extension of 100 kB", sized(b"d;a=" + b"b" * 100_000), (200, 400))  # it is not kept
    for size in (b"zz", b"-1", b"0xd", b"+d", b" d", b"", b"d d", b"F" * 17, b"F" * 5000, b"\xff"):
        yield Case(f"the chunk size {size[:18]!r}", sized(size), BAD if size != b"F" * 17 else (400, 413))
    yield Case("a chunk size that is too small", sized(b"c"), BAD)
    yield Case("a chunk size that is too large", sized(b"e"), BAD)
    yield Case("chunks that end with LF alone", chunked(b"d\n" + BODY + b"\n0\n\n"), BAD)
    yield Case("a good trailer", sized(b"d", b"X-Trailer: a\r\n"), OK)
    yield Case("a broken trailer", sized(b"d", b"X-Tra\0iler\r\n"), BAD)
    yield Case("a trailer with a length", sized(b"d", b"Content-Length: 5\r\n"), (200, 400))
    yield Case("1,000 trailers", sized(b"d", b"X-T: a\r\n" * 1000), (200, 400))
    yield Case("a trailer of 100 kB", sized(b"d", b"X-T: " + b"a" * 100_000 + b"\r\n"), BAD)
    yield Case("10,000 chunks of one byte", chunked(b"1\r\n \r\n" * 10_000 + b"0\r\n\r\n"), BAD)
    yield Case(
        "chunks beyond the limit",
        chunked(b"10000\r\n" + b" " * 65536 + b"\r\n" + (b"10000\r\n" + b" " * 65536 + b"\r\n") * 16),
        LARGE,
    )
    yield Case("a chunk of nothing but an announcement", chunked(b"fffffff\r\n{"), (*BAD, *CLOSED, 413), ends=True)


def _sizes() -> Iterator[Case]:
    yield Case("a header of 9 kB", http(JSON, ("X-A", "a" * 9000)), (400, 431))
    yield Case("a header's name of 9 kB", http(JSON, ("X" * 9000, "a")), (400, 431))
    yield Case("a header of 1 MB", http(JSON, ("X-A", "a" * 1_000_000)), (400, 431))
    yield Case("5,000 headers", http(JSON, *((f"X-{n}", "a") for n in range(5000))), (400, 431))
    yield Case("1,000 of the same header", http(JSON, *([("X-Kept", "a")] * 1000)), (400, 431))
    yield Case("kept headers of 9 kB together", http(JSON, *([("X-Kept", "a" * 3000)] * 3)), (200, 400))
    yield Case("a target of 9 kB", http(JSON, target="/webhook/" + "a" * 9000), (400, 404, 414))
    yield Case("a query of 100 kB", http(JSON, target="/webhook/open?" + "a" * 100_000), (400, 414))
    yield Case("a body of one byte too many", http(JSON, body=b'"' + b"a" * (1024 * 1024 - 1) + b'"'), LARGE)
    yield Case("a method of 9 kB", http(JSON, method="A" * 9000), (400, 405, 501))


def _targets() -> Iterator[Case]:
    for target in (
        "/", "/webhook", "/webhook/", "/webhook/nobody", "/webhook/open/", "/webhook/open/x", "/webhook//open", "//webhook/open",
        "/webhook/../webhook/open", "/webhook/%2e%2e/open", "/webhook/..%2fopen", "/webhook/open%2f", "/webhook/%6fpen",
        "/webhook/open%00", "/webhook/open%0d%0aX:%20y", "/webhook/OPEN", "/webhook/open;x", "/webhook/open%", "/webhook/open%zz",
        "/webhook/%c0%ae", "/webhook/-open", "/webhook/" + "a" * 64, "/metrics", "/healthz", "/webhook/open\\x", "/webhook/headrace",
        "/webhook/schedules",
    ):  # fmt: skip
        yield Case(f"the target {target[:40]!r}", http(JSON, target=target), (400, 404))
    yield Case("a target with bytes that are no ASCII", http(JSON, target="/webhook/öpen"), (400, 404))
    yield Case("a target with a space", http(JSON, target="/webhook/open x"), BAD)
    yield Case("a target without a slash", http(JSON, target="webhook/open"), (400, 404))
    yield Case("an empty target", http(JSON, target=""), BAD)
    yield Case("an absolute target", http(JSON, target="http://x/webhook/open"), OK)
    yield Case("an absolute target with a user", http(JSON, target="http://a:b@x/webhook/open"), (200, 400, 404))
    for target in (
        "file:///webhook/open",
        "http:/webhook/open",
        "http://",
        "javascript:x",
        "http://[::1/webhook/open",
        "http://x:99999999/webhook/open",
    ):
        yield Case(f"the target {target!r}", http(JSON, target=target), (200, 400, 404))
    yield Case(
        "a query of everything",
        http(JSON, target="/webhook/open?" + "".join(f"%{n:02x}" for n in range(256)) + "&&==&a[]=1"),
        OK,
    )
    yield Case("a fragment", http(JSON, target="/webhook/open#x"), (200, 400, 404))


def _methods() -> Iterator[Case]:
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"):
        yield Case(f"the method {method}", http(JSON, method=method), NOT_ALLOWED)
    for method in ("TRACE", "BREW", "post", "P\xc3\xb6ST", "POST\0", "GET/", ""):
        yield Case(f"the method {method!r}", http(JSON, method=method), (400, 405, 501))
    yield Case("CONNECT", http(JSON, method="CONNECT", target="x:443"), (400, 404, 405))
    yield Case("OPTIONS *", http(JSON, method="OPTIONS", target="*"), (400, 404, 405))


def _json() -> Iterator[Case]:
    for name, body in {
        "empty": b"", "white space": b" \r\n\t ", "cut short": b'{"a": ', "NaN": b'{"a": NaN}', "Infinity": b"[Infinity, -Infinity]",
        "a leading zero": b"[01]", "a plus": b"[+1]", "no digit before the point": b"[.5]", "no digit after it": b"[1.]",
        "hexadecimal": b"[0x10]", "single quotes": b"{'a': 1}", "a trailing comma": b"[1,]", "a comment": b"[1] // x",
        "UTF-16": '{"a": 1}'.encode("utf-16"), "invalid UTF-8": b'{"a": "\xff"}',
        "an overlong NUL": b'{"a": "\xc0\x80"}', "an encoded surrogate": b'{"a": "\xed\xa0\x80"}',
        "a raw NUL": b'{"a": "\0"}', "a raw newline in text": b'{"a": "\n"}', "two documents": b"{}{}", "a key that is no text": b"{1: 2}",
        "a word": b"undefined", "nesting of 1,100": b"[" * 1100 + b"]" * 1100, "nesting of 200,000": b"[" * 200_000 + b"]" * 200_000,
        "nesting that never ends": b'{"a":' * 100_000, "an unknown escape": b'{"a": "\\x41"}', "text without an end": b'"aaa', "NUL alone": b"\0",
    }.items():  # fmt: skip
        yield Case(f"JSON: {name}", http(JSON, body=body), BAD)
    for name, body in {
        "a byte order mark": b"\xef\xbb\xbf{}", "an escaped lone surrogate": b'{"a": "\\ud800"}',
        "a duplicate key": b'{"a": 1, "a": 2}', "10,000 duplicate keys": b"{" + b'"a":1,' * 10_000 + b'"a":1}', "an escaped NUL": b'{"a": "\\u0000"}',
        "a prototype": b'{"__proto__": {"a": 1}, "__class__": 1}', "a scalar": b"5", "null": b"null", "100,000 keys": b"{" + b",".join(b'"k%d":1' % n for n in range(60_000)) + b"}",
        "a template": b'{"a": "{{ 7 * 7 }}{% raw %}"}', "terminal codes": b'{"a": "\\u001b[2J"}',
    }.items():  # fmt: skip
        yield Case(f"JSON: {name}", http(JSON, body=body), OK)
    yield Case("JSON: a number of 100,000 digits", http(JSON, body=b"9" * 100_000), (200, 400))
    yield Case("JSON: 1e999", http(JSON, body=b"[1e999]"), (200, 400))
    yield Case("JSON: an exponent of 100,000 digits", http(JSON, body=b"[1e" + b"9" * 100_000 + b"]"), (200, 400))


def _ids() -> Iterator[Case]:
    def with_id(text: bytes) -> bytes:
        return http(JSON, body=b'{"id": ' + text + b"}", target="/webhook/ids")

    yield Case("no id", http(JSON, body=b"{}", target="/webhook/ids"), BAD)
    yield Case("an id in a list", http(JSON, body=b'[{"id": 1}]', target="/webhook/ids"), BAD)
    for text in (
        b"null",
        b"true",
        b"[]",
        b"{}",
        b'""',
        b'"' + b"a" * 257 + b'"',
        b'"\\ud800"',
        b"1e300",
        b"1" + b"0" * 300,
        b'["a"]',
    ):
        yield Case(f"the id {text[:12]!r} of {len(text)}", with_id(text), BAD)
    for text in (
        b'"' + b"a" * 256 + b'"',
        b"1",
        b"1.5",
        '"\U0001f600"'.encode(),
        b'"a\\r\\nX: y"',
        b'"\\u0000"',
        b'"../../etc"',
        b'" "',
    ):
        yield Case(f"the id {text[:12]!r} of {len(text)}", with_id(text), OK)


def _encodings() -> Iterator[Case]:
    def encoded(encoding: str, body: bytes) -> bytes:
        return http(JSON, ("Content-Encoding", encoding), body=body)

    packed = gzip.compress(BODY)
    bomb = gzip.compress(b" " * 100_000_000, 9)
    yield Case("gzip", encoded("gzip", packed), OK)
    yield Case("x-gzip in capitals", encoded("X-GZIP", packed), OK)
    yield Case("deflate", encoded("deflate", zlib.compress(BODY)), OK)
    yield Case("a gzip bomb", encoded("gzip", bomb), LARGE)
    yield Case("a deflate bomb", encoded("deflate", zlib.compress(b" " * 100_000_000, 9)), LARGE)
    yield Case("a gzip bomb within gzip", encoded("gzip", gzip.compress(bomb)), BAD)
    yield Case("gzip twice", encoded("gzip, gzip", gzip.compress(packed)), MEDIA)
    yield Case("gzip that is cut short", encoded("gzip", packed[:-5]), BAD)
    yield Case("gzip with a tail", encoded("gzip", packed + b"tail"), BAD)
    yield Case("gzip of another checksum", encoded("gzip", packed[:-8] + b"\0" * 8), BAD)
    yield Case("no gzip", encoded("gzip", BODY), BAD)
    yield Case("an empty gzip", encoded("gzip", b""), BAD)
    yield Case("a gzip head alone", encoded("gzip", packed[:10]), BAD)
    yield Case("raw deflate", encoded("deflate", zlib.compress(BODY)[2:-4]), BAD)
    for encoding in ("br", "zstd", "compress", "gzip;q=1", "*", "gzip deflate", "\xff"):
        yield Case(f"Content-Encoding {encoding!r}", encoded(encoding, packed), (400, 415))
    yield Case(
        "Content-Encoding twice",
        http(JSON, ("Content-Encoding", "gzip"), ("Content-Encoding", "gzip"), body=packed),
        BAD,
    )


def _types() -> Iterator[Case]:
    def typed(value: str | bytes, body: bytes = BODY) -> bytes:
        return http(("Content-Type", value), body=body)

    for value in ("image/png", "application/octet-stream", "a/b", "json", ";", "/", "*/*"):
        yield Case(f"Content-Type {value!r}", typed(value), (400, 415))
    yield Case("Content-Type twice", http(JSON, ("Content-Type", "text/plain")), BAD)
    yield Case("Content-Type that is not ASCII", typed(b"application/json; a=\xff"), BAD)
    yield Case("Content-Type of 8 kB", typed("application/json; a=" + "b" * 8000), (200, 400))
    yield Case("no Content-Type", http(), OK)
    for charset in ("utf-8", "UTF8", '"utf-8"', "us-ascii", "latin-1"):
        yield Case(f"the charset {charset}", typed(f"application/json; charset={charset}"), OK)
    for charset in (
        "klingon",
        "hex",
        "base64",
        "zip",
        "bz2",
        "rot13",
        "undefined",
        "punycode",
        "idna",
        "unicode_escape",
        "raw_unicode_escape",
        "mbcs",
        "\x7f",
        "a" * 5000,
    ):
        yield Case(f"the charset {charset[:20]!r}", typed(f"application/json; charset={charset}"), (400, 415))
    yield Case(
        "punycode of 1 MB", typed("text/plain; charset=punycode", b"a" * 500_000 + b"-" + b"a" * 500_000), (400, 415)
    )
    for fields, statuses in (
        (b"&".join([b"a=b"] * 10_001), BAD),
        (b"a", BAD),
        (b"&&&", BAD),
        (b"a=%ff", (200, 400)),
        (b"a=%", (200, 400)),
        (b"a=b;c=d", OK),
        (b"=", (200, 400)),
    ):
        yield Case(f"the form {fields[:12]!r} of {len(fields)}", http(FORM, body=fields), statuses)
    part = b'--B\r\nContent-Disposition: form-data; name="%b"\r\n\r\nv\r\n'
    for name, body, statuses in (
        ("without parts", b"--B--\r\n", (200, 400, 415)), ("cut short", part % b"a", (400, 415)), ("empty", b"", (400, 415)),
        ("of another boundary", part.replace(b"--B", b"--C") % b"a" + b"--C--\r\n", (400, 415)),
        ("of 20,000 parts", part % b"a" * 10_000 + b"--B--\r\n", (400, 413, 415)), ("with a part without a name", b"--B\r\n\r\nv\r\n--B--\r\n", (400, 415)),
        ("with a NUL in a name", part % b"a\0b" + b"--B--\r\n", (200, 400, 415)), ("with a head without an end", b"--B\r\n" + b"a" * 100_000, (400, 415)),
    ):  # fmt: skip
        yield Case(f"multipart {name}", typed("multipart/form-data; boundary=B", body), statuses)
    yield Case("multipart without a boundary", typed("multipart/form-data", b"--B--"), (400, 415))
    yield Case(
        "multipart with a boundary of 5,000", typed("multipart/form-data; boundary=" + "b" * 5000, b"--B--"), (400, 415)
    )


def _signatures() -> Iterator[Case]:
    name = "X-Hub-Signature-256"
    yield Case("a good signature", signed((name, signature())), OK)
    yield Case("no signature", signed(), UNSIGNED)
    right = signature()
    for number, value in enumerate((
        "", "sha256=", right[7:], right.upper(), right.replace("sha256", "sha1"), right[:-1], right + "0", f"{right},{right}", f'"{right}"',
        "sha256=" + "0" * 64, "sha256= " + right[7:], "sha256=" + "\u0660" * 64, b"sha256=\xff\xfe", "sha256=" + "f" * 8000, right[:-1] + "g", f"sha256={right}", right + "\x0b",
    )):  # fmt: skip
        statuses = (400, 401) if b"\x0b" in _bytes(value) else UNSIGNED
        yield Case(f"wrong signature {number}: {_bytes(value)[:14]!r}", signed((name, value)), statuses)
    yield Case("the signature twice", signed((name, right), (name, right)), UNSIGNED)
    yield Case("the signature twice, in other letters", signed((name, right), (name.lower(), right)), UNSIGNED)
    yield Case("a wrong signature before the right one", signed((name, "sha256=00"), (name.upper(), right)), UNSIGNED)
    yield Case("the signature of another body", signed((name, signature(b"{}"))), UNSIGNED)
    yield Case("the signature with a broken body", signed((name, signature(b"{")), body=b"{"), BAD)
    yield Case("no signature with a broken body", signed(body=b"{"), UNSIGNED)
    yield Case(
        "no signature with a gzip bomb",
        signed(("Content-Encoding", "gzip"), body=gzip.compress(b" " * 50_000_000)),
        UNSIGNED,
    )
    yield Case("the delivery id twice", signed((name, right), ("X-GitHub-Delivery", "e")), BAD)


def _sequences() -> Iterator[Case]:
    good = http(JSON)
    yield Case("a good one, then none", good + b"\0garbage\r\n\r\n", (200, 400))
    yield Case("three good ones", good * 3, OK)
    yield Case("none, then a good one", b"\0garbage\r\n\r\n" + good, BAD)
    yield Case("a request hidden in a body", http(JSON, body=good), BAD)
    yield Case("Expect: 100-continue with its body", http(JSON, ("Expect", "100-continue")), OK)
    yield Case(
        "Expect: 100-continue and too much",
        http(JSON, ("Expect", "100-continue"), ("Content-Length", "99999999"), body=b"", length=False),
        LARGE,
    )
    yield Case(
        "Expect: 100-continue to nobody", http(JSON, ("Expect", "100-continue"), target="/webhook/nobody"), NOT_FOUND
    )
    yield Case("Expect: something else", http(JSON, ("Expect", "200-maybe")), (200, 417))
    yield Case("a good one, and no more to say", good, OK, ends=True)
    yield Case("TE: trailers", http(JSON, ("TE", "trailers"), ("Connection", "TE")), OK)
    yield Case("Connection: close, keep-alive", http(JSON, ("Connection", "close, keep-alive")), OK)
    yield Case("200 requests at once", good * 200, OK)
