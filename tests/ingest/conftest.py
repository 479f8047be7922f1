from __future__ import annotations

from collections.abc import Callable

import pytest

from ingest.scheme import load_scheme
from ingest.signature import SignedRequest
from ingest.sources import Source, compile_source, source_model_for

NOW_S = 1_700_000_000.0
SECRETS = {"standard": b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
OTHER_SECRETS = {"standard": b"whsec_b3RoZXItc2VjcmV0LW90aGVyLXNlY3JldA=="}


def secret_of(scheme: str, *, other: bool = False) -> bytes:
    return (OTHER_SECRETS if other else SECRETS).get(scheme, b"other secret" if other else b"a secret")


def make_source(
    scheme: str = "github", name: str = "", *, secrets: list[bytes] | None = None, **keys: object
) -> Source:
    loaded = load_scheme(scheme)
    given: dict[str, object] = {"scheme": scheme, "allow_unsigned": not loaded.signed}
    if loaded.needs_secret:
        given["secret_env"] = "SECRET"
    settings = source_model_for(scheme).model_validate({**given, **keys})
    return compile_source(name or scheme, settings, secrets if secrets is not None else [secret_of(scheme)])


def request_of(
    body: bytes, headers: dict[str, str] | list[tuple[str, str]], *, content_type: str | None = "application/json"
) -> SignedRequest:
    pairs = list(headers.items()) if isinstance(headers, dict) else headers
    if content_type is not None:
        pairs = [*pairs, ("Content-Type", content_type)]
    raw = tuple((name.lower().encode(), value.encode("utf-8", "surrogateescape")) for name, value in pairs)
    return SignedRequest("POST", "/webhook/x", raw, body)


def signed_request(source: Source, body: bytes, *, event_id: str = "evt-1", now_s: float = NOW_S) -> SignedRequest:
    return request_of(body, dict(source.sign(body, secret=source.secrets[0], now_s=now_s, event_id=event_id)))


MakeSource = Callable[..., Source]


@pytest.fixture
def make() -> MakeSource:
    return make_source
