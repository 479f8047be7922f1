from __future__ import annotations


def document(signing_key: bytes) -> bytes:
    return b"certificate"
