"""How long a verification takes does not depend on where the signature differs.

Not by the clock, which tells nothing on a busy machine: the lines that run are the same, and so are the lengths of what
is compared in constant time. ``bench/verify`` prints what the clock says.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hmac
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import ingest
from ingest.scheme import load_scheme, scheme_names
from ingest.signature import InvalidSignature, SignedRequest
from tests.ingest.conftest import NOW_S, make_source, secret_of, signed_request

PACKAGE = str(Path(ingest.__file__).parent)
BODY = b'{"id": "e-1", "type": "t", "event_type": "t", "event": "t"}'


@contextlib.contextmanager
def traced() -> Iterator[tuple[list[tuple[str, int]], list[tuple[int, int]]]]:
    """Give the lines of ingest that run, and the lengths of all that is compared in constant time."""
    lines: list[tuple[str, int]] = []
    compared: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line":
            lines.append((frame.f_code.co_filename, frame.f_lineno))
        return trace

    def counted(a: Any, b: Any) -> bool:
        compared.append((len(a), len(b)))
        return compare(a, b)

    before = sys.gettrace()
    hmac.compare_digest = counted
    sys.settrace(trace)
    try:
        yield lines, compared
    finally:
        sys.settrace(before)
        hmac.compare_digest = compare


@functools.cache
def signature_of(scheme: str) -> tuple[int, list[int]] | None:
    """Return the header that holds the signature, and the places in it that the secret decides.

    ``None`` where it stands elsewhere, or where a public key verifies: that compares nothing secret.
    """
    if not load_scheme(scheme).signed or load_scheme(scheme).make_keys is not None:
        return None
    request = signed_request(make_source(scheme), BODY)
    differing = signed_request(make_source(scheme, secrets=[secret_of(scheme, other=True)]), BODY)
    if len(request.headers) != len(differing.headers):
        return None
    for number, ((_, value), (_, changed)) in enumerate(zip(request.headers, differing.headers, strict=True)):
        places = [n for n in range(min(len(value), len(changed))) if value[n] != changed[n]]
        if len(places) > 8:
            return number, places
    return None


def with_flipped(request: SignedRequest, header: int, place: int) -> SignedRequest:
    """Return the request with another character at ``place``, of the same alphabet."""
    name, value = request.headers[header]
    # Both are digits of hexadecimal and of base64: the signature keeps its form.
    flipped = b"1" if value[place : place + 1] != b"1" else b"2"
    headers = list(request.headers)
    headers[header] = (name, value[:place] + flipped + value[place + 1 :])
    return dataclasses.replace(request, headers=tuple(headers))


SCHEMES = [scheme for scheme in scheme_names() if signature_of(scheme) is not None]


def test_most_schemes_are_looked_at() -> None:
    assert len(SCHEMES) >= 6


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_same_runs_wherever_the_signature_differs(scheme: str) -> None:
    source, request, found = make_source(scheme), signed_request(make_source(scheme), BODY), signature_of(scheme)
    assert found is not None
    header, places = found
    seen = []
    for place in (places[0], places[len(places) // 2], places[-2]):
        with traced() as (lines, compared), pytest.raises(InvalidSignature):
            source.verify(with_flipped(request, header, place), now_s=NOW_S)
        assert compared, "nothing was compared in constant time"
        seen.append((lines, compared))
    assert seen[0] == seen[1] == seen[2]
