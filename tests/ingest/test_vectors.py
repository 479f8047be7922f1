"""Each published vector is accepted as it stands, and refused with anything about it changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ingest.scheme import load_scheme
from ingest.signature import InvalidSignature, SignedRequest
from ingest.sources import Source
from tests.ingest.conftest import secret_of
from tests.ingest.test_scheme_suite import flips, identity_of
from tests.ingest.vectors import Vector, read_vectors

VECTORS = read_vectors()
every_vector = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector.scheme}-{vector.number}")


def refused(vector: Vector, request: SignedRequest, *, source: Source | None = None, at_s: float | None = None) -> bool:
    try:
        (source or vector.source()).verify(
            request, now_s=vector.at_s if at_s is None else at_s, document=vector.document
        )
    except InvalidSignature:
        return True
    return False


@every_vector
def test_it_is_accepted_and_known(vector: Vector) -> None:
    source = vector.source()
    assert vector.source_page
    assert not refused(vector, vector.request, source=source)
    identity = identity_of(source, vector.request)
    assert (identity.event_id, identity.event_type) == (vector.event_id, vector.event_type)


@every_vector
def test_a_flipped_byte_is_refused(vector: Vector) -> None:
    source, body = vector.source(), vector.request.body
    if source.scheme.signs_body:
        changed = [*flips(body)][:: max(1, len(body) // 100)]
        for other in (*changed, body + b"x"):
            assert refused(vector, replace(vector.request, body=other), source=source)


@every_vector
def test_another_secret_is_refused(vector: Vector) -> None:
    if load_scheme(vector.scheme).needs_secret:
        for other in (False, True):
            source = vector.source(secret=secret_of(vector.scheme, other=other))
            assert refused(vector, vector.request, source=source)


@every_vector
def test_a_changed_header_of_the_proof_is_refused(vector: Vector) -> None:
    source, request = vector.source(), vector.request
    for at, (key, value) in enumerate(request.headers):
        others = request.headers[:at] + request.headers[at + 1 :]
        if not refused(vector, replace(request, headers=others), source=source):
            continue  # not of the proof
        for changed in (b"", value + b"x", value[:-1], b"sha1=" + value, b"nonsense"):
            assert refused(vector, replace(request, headers=(*others, (key, changed))), source=source), (key, changed)
        assert refused(vector, replace(request, headers=(*request.headers, (key, value))), source=source)


@every_vector
def test_it_is_refused_when_it_is_old_or_early(vector: Vector) -> None:
    tolerance_s = load_scheme(vector.scheme).timestamp_tolerance_s
    if tolerance_s is not None:
        for way in (1, -1):
            assert refused(vector, vector.request, at_s=vector.at_s + way * (2 * tolerance_s + 1))
