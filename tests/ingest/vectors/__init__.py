"""Requests that providers published, or that their own SDKs signed: ``<scheme>.json``, a list of vectors each."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ingest.signature import SignedRequest
from ingest.sources import Source, compile_source, source_model_for
from tests.ingest.conftest import OPTIONS


@dataclass(frozen=True)
class Vector:
    """One request that must be accepted. ``source_page`` says where it is from; ``published`` whether as it stands."""

    scheme: str
    number: int
    source_page: str
    published: bool
    secret: bytes
    at_s: float
    request: SignedRequest
    event_id: str | None
    event_type: str | None
    options: dict[str, object] = field(default_factory=dict)
    option_secrets: dict[str, bytes] = field(default_factory=dict)
    document: bytes | None = None
    made_by: str = "published"  # or recorded, sdk (the provider's), other (another's library) or openssl: see README.md
    other_secret: bytes | None = None  # of the same form, where the suite's is of another
    dated: bool = True  # the signature covers a timestamp, if the scheme has one
    malformed: bool = False  # signed, and no event of the provider's form

    def source(self, *, secret: bytes | None = None) -> Source:
        from ingest.scheme import load_scheme

        scheme = load_scheme(self.scheme)
        given: dict[str, object] = {"scheme": self.scheme, "allow_unsigned": not scheme.signed}
        given |= OPTIONS.get(self.scheme, {}) | self.options | {key: key.upper() for key in self.option_secrets}
        if scheme.needs_secret:
            given["secret_env"] = "SECRET"
        settings = source_model_for(self.scheme).model_validate(given)
        chosen = self.secret if secret is None else secret
        return compile_source(self.scheme, settings, [chosen], option_secrets=self.option_secrets)


def read_vectors(scheme: str | None = None) -> list[Vector]:
    """Return the vectors of one scheme, or all."""
    paths = sorted(Path(__file__).parent.glob(f"{scheme or '*'}.json"))
    return [
        vector_of(path.stem, number, row) for path in paths for number, row in enumerate(json.loads(path.read_text()))
    ]


def vector_of(scheme: str, number: int, row: dict[str, Any]) -> Vector:
    """Return one row of a file as a vector."""
    asked = row["request"]
    body = base64.b64decode(asked["body_b64"]) if "body_b64" in asked else asked.get("body", "").encode()
    headers = tuple((name.lower().encode(), value.encode()) for name, value in asked["headers"])
    url = asked.get("url", "/webhook/x")
    request = SignedRequest(asked.get("method", "POST"), url, headers, body, asked.get("public_url", ""))
    document = row.get("document")
    return Vector(
        scheme=scheme,
        number=number,
        source_page=row["source"],
        published=row["published"],
        secret=row.get("secret", "").encode(),
        at_s=row.get("at", 0),
        request=request,
        event_id=row.get("event_id"),
        event_type=row.get("event_type"),
        options=row.get("options", {}),
        option_secrets={key: value.encode() for key, value in row.get("option_secrets", {}).items()},
        document=document.encode() if document is not None else None,
        made_by=row["made_by"],
        other_secret=row["other_secret"].encode() if "other_secret" in row else None,
        dated=row.get("dated", True),
        malformed=row.get("malformed", False),
    )
