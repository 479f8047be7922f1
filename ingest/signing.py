"""Requests as a provider would send them: what ``headrace send`` posts, and what tests check schemes with."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

import orjson

from ingest.scheme import Scheme, Signed
from ingest.signature import SignedRequest
from ingest.sources import Source

FORM = "application/x-www-form-urlencoded"


def signed_request(
    source: Source, body: bytes, *, url: str, content_type: str, secret: bytes, now_s: float, event_id: str
) -> SignedRequest:
    """Return the request that posts ``body`` to ``url``, signed by the source's scheme.

    Args:
        source: whose scheme signs.
        body: to be signed; the scheme may put its signature into it.
        url: where ingest is, with scheme, host, path and query.
        content_type: of the body.
        secret: the source's secret, or the signing key where the provider has a private one.
        now_s: Unix time.
        event_id: for schemes that have the id outside of the body.

    Raises:
        CannotSign: the secret only verifies.
    """
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    about = [(b"host", parts.netloc.encode()), (b"content-type", content_type.encode())]
    if parts.scheme == "https":
        about.append((b"x-forwarded-proto", b"https"))
    given = {"request": source.request("POST", target, tuple(about), body)} if source.scheme.signs_url else {}
    signed = source.sign(body, secret=secret, now_s=now_s, event_id=event_id, **given)
    if not isinstance(signed, Signed):
        signed = Signed(signed)
    if signed.query:
        target += ("&" if "?" in target else "?") + signed.query
    proof = tuple((name.lower().encode(), value.encode()) for name, value in signed.headers.items())
    return source.request("POST", target, (*about, *proof), body if signed.body is None else signed.body)


def sample_body(scheme: Scheme, path: list[str], event_id: str) -> bytes:
    """Return the scheme's sample in the provider's form, with this id at ``path``."""
    if isinstance(scheme.sample, bytes):
        return scheme.sample
    sample = with_id(scheme.sample, path, event_id)
    if scheme.content_type == FORM and isinstance(sample, dict):
        return urlencode(sample).encode()
    return orjson.dumps(sample)


def with_id(body: object, path: list[str], event_id: str) -> object:
    """Return ``body`` with the id at ``path``; a number there is a place in a list. What is in the way is replaced."""
    if not path:
        return event_id
    first, *rest = path
    if isinstance(body, list) and first.isdecimal() and int(first) < len(body):
        place = int(first)
        return [*body[:place], with_id(body[place], rest, event_id), *body[place + 1 :]]
    fields = body if isinstance(body, dict) else {}
    return {**fields, first: with_id(fields.get(first), rest, event_id)}
