"""What is left of a service's quota, as an answer of any status tells it: known before it is used up.

Sources: draft-ietf-httpapi-ratelimit-headers (``RateLimit: "name";r=50;t=30`` with ``RateLimit-Policy: "name";q=100``,
and its earlier forms), and the ``X-RateLimit-*`` headers of GitHub, Discord and others, which no standard defines.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from connectors.answers import RETRY_AFTER_S_MAX, reset_s

_NUMBER = re.compile(r"[0-9]{1,12}", re.ASCII)
_LEADING = re.compile(r"\s*([0-9]{1,12})", re.ASCII)
_STRUCTURED = re.compile(r"(?:^|,)\s*\"?([A-Za-z0-9._-]{0,64})\"?((?:;\s*[a-z]{1,8}=[^;,]{1,64}){1,8})", re.ASCII)
_PARAMETER = re.compile(r";\s*([a-z]{1,8})=([0-9]{1,12})(?=[;,\s]|$)", re.ASCII)
_EARLIER = re.compile(r"\b(limit|remaining|reset)=([0-9]{1,12})\b", re.ASCII)
_PREFIXES = (b"x-ratelimit-", b"ratelimit-", b"x-rate-limit-")


@dataclass(frozen=True, slots=True)
class Quota:
    """So many calls are left for so many seconds, of ``limit`` in all if that is told."""

    remaining: int
    reset_s: float
    limit: int | None = None


def read_quota(headers: Mapping[bytes, bytes], *, now_s: float) -> Quota | None:
    """Return the quota that an answer's ``headers`` tell of; of several, the one of which least is left."""
    text = headers.get(b"ratelimit", b"").decode("latin-1")
    return (_structured(text, headers) or _earlier(text)) if text else _separate(headers, now_s)


def _structured(text: str, headers: Mapping[bytes, bytes]) -> Quota | None:
    limits = {
        name: parameters.get("q")
        for name, parameters in _items(headers.get(b"ratelimit-policy", b"").decode("latin-1")).items()
    }
    found = [
        Quota(parameters["r"], min(float(parameters["t"]), RETRY_AFTER_S_MAX), limits.get(name))
        for name, parameters in _items(text).items()
        if "r" in parameters and "t" in parameters
    ]
    return min(found, key=lambda quota: (quota.remaining, -quota.reset_s), default=None)


def _items(text: str) -> dict[str, dict[str, int]]:
    return {
        item[1]: {name: int(number) for name, number in _PARAMETER.findall(item[2])}
        for item in _STRUCTURED.finditer(text[:1000])
    }


def _earlier(text: str) -> Quota | None:
    found = {name: int(number) for name, number in _EARLIER.findall(text[:1000])}
    if "remaining" not in found or "reset" not in found:
        return None
    return Quota(found["remaining"], min(float(found["reset"]), RETRY_AFTER_S_MAX), found.get("limit"))


def _separate(headers: Mapping[bytes, bytes], now_s: float) -> Quota | None:
    for prefix in _PREFIXES:
        remaining = headers.get(prefix + b"remaining", b"").decode("latin-1").strip()
        wait_s = reset_s(headers, now_s)
        if _NUMBER.fullmatch(remaining) and wait_s is not None:
            limit = _LEADING.match(headers.get(prefix + b"limit", b"").decode("latin-1"))
            return Quota(int(remaining), wait_s, int(limit[1]) if limit else None)
    return None
