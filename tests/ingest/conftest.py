from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
from collections.abc import Callable

import pytest

from ingest.scheme import load_scheme
from ingest.settings import IngestSettings
from ingest.signature import SignedRequest
from ingest.signing import signed_request as signed_by_source
from ingest.sources import Source, compile_source, source_model_for

NOW_S = 1_700_000_000.0
PUBLIC_URL = "https://hooks.example.com"
# Of schemes that have an option without a default.
OPTIONS: dict[str, dict[str, object]] = {"paypal": {"webhook_id": "1JE4291016473214C"}}


def keys_of(scheme: str, *, other: bool = False) -> tuple[bytes, bytes]:
    """Return what signs and what verifies: the same, unless the provider signs with a private key."""
    return _keys_of(scheme, other)


@functools.cache
def _keys_of(scheme: str, other: bool) -> tuple[bytes, bytes]:
    loaded = load_scheme(scheme)
    if loaded.make_keys is not None:
        return loaded.make_keys()
    secret = b"other secret" if other else b"a secret"
    if loaded.make_secret is not None:
        secret = loaded.make_secret(lambda size: hashlib.shake_256(b"other" if other else b"one").digest(size))
    return secret, secret


def secret_of(scheme: str, *, other: bool = False) -> bytes:
    return keys_of(scheme, other=other)[1]


def document_of(scheme: str) -> bytes | None:
    """Return what the pinned host would have for requests signed by `signed_request`."""
    if not load_scheme(scheme).document_hosts:
        return None
    found: bytes = importlib.import_module(f"tests.ingest.documents.{scheme}").document(keys_of(scheme)[0])
    return found


def make_source(
    scheme: str = "github", name: str = "", *, secrets: list[bytes] | None = None, **keys: object
) -> Source:
    loaded = load_scheme(scheme)
    given: dict[str, object] = {"scheme": scheme, "allow_unsigned": not loaded.signed, **OPTIONS.get(scheme, {})}
    if loaded.needs_secret:
        given["secret_env"] = "SECRET"
    further = [key for key in loaded.options_model.model_fields if key.endswith("_env")]
    given.update({key: key.upper() for key in further})
    settings = source_model_for(scheme).model_validate({**given, **keys})
    return compile_source(
        name or scheme,
        settings,
        secrets if secrets is not None else [secret_of(scheme)],
        option_secrets={key: f"secret of {key}".encode() for key in further},
        ingest=IngestSettings(public_url=PUBLIC_URL),
    )


def request_of(
    body: bytes, headers: dict[str, str] | list[tuple[str, str]], *, content_type: str | None = "application/json"
) -> SignedRequest:
    pairs = list(headers.items()) if isinstance(headers, dict) else headers
    if content_type is not None:
        pairs = [*pairs, ("Content-Type", content_type)]
    raw = tuple((name.lower().encode(), value.encode("utf-8", "surrogateescape")) for name, value in pairs)
    return SignedRequest("POST", "/webhook/x", raw, body)


def signed_request(
    source: Source,
    body: bytes,
    *,
    event_id: str = "evt-1",
    now_s: float = NOW_S,
    content_type: str = "application/json",
    signing_key: bytes | None = None,
) -> SignedRequest:
    if signing_key is None:
        signing_key = keys_of(source.scheme.name)[0] if source.scheme.make_keys else source.secrets[0]
    return signed_by_source(
        source,
        body,
        url=f"{PUBLIC_URL}/webhook/{source.name}",
        content_type=content_type,
        secret=signing_key,
        now_s=now_s,
        event_id=event_id,
    )


MakeSource = Callable[..., Source]


@pytest.fixture
def make() -> MakeSource:
    return make_source
