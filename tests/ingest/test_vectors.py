"""Each published vector is accepted as it stands, and refused with anything about it changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ingest.scheme import MalformedEvent, load_scheme
from ingest.signature import InvalidSignature, SignedRequest
from ingest.sources import Source
from tests.ingest.conftest import secret_of
from tests.ingest.test_scheme_suite import SIGNED, flips, identity_of
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
    if vector.malformed:
        with pytest.raises(MalformedEvent):
            identity_of(source, vector.request)
        return
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
        others = [secret_of(vector.scheme, other=other) for other in (False, True)]
        for secret in others if vector.other_secret is None else [vector.other_secret]:
            assert refused(vector, vector.request, source=vector.source(secret=secret))


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
    if tolerance_s is not None and vector.dated:
        for way in (1, -1):
            assert refused(vector, vector.request, at_s=vector.at_s + way * (2 * tolerance_s + 1))


def test_every_scheme_has_a_vector_and_many_are_the_providers_own() -> None:
    made = {name: {vector.made_by for vector in VECTORS if vector.scheme == name} for name in SIGNED}
    assert [name for name in SIGNED if not made[name]] == []
    assert {vector.published for vector in VECTORS if vector.made_by == "published"} == {True}
    assert len([name for name in SIGNED if "published" in made[name]]) >= 33
    assert len([name for name in SIGNED if made[name] & {"published", "recorded", "sdk"}]) >= 65
    assert [name for name in SIGNED if made[name] <= {"openssl"}] == []
