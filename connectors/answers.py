"""What an HTTP answer means: one table, and the headers in which services ask to be left alone.

Sources: RFC 9110 (status codes, ``Retry-After`` in 10.2.3), RFC 6585 (429), draft-ietf-httpapi-ratelimit-headers, and
the ``X-RateLimit-*`` headers of GitHub, Discord and others, which no standard defines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Literal

import orjson

from connectors.errors import CallError, CredentialsRefused, PermanentError, RateLimited, TransientError

Meaning = Literal["ok", "permanent", "credentials_refused", "rate_limited", "transient"]

RETRY_AFTER_S_MAX = 86_400.0  # an hour is usual, a day the longest quota there is; more is taken for a mistake


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table: the statuses from ``first`` to ``last``, and what they mean."""

    first: int
    last: int
    meaning: Meaning
    because: str


# The first row that fits decides.
RULES: tuple[Rule, ...] = (
    Rule(200, 299, "ok", "accepted"),
    Rule(401, 401, "credentials_refused", "the credential is missing, wrong or expired: the destination is paused"),
    Rule(403, 403, "credentials_refused", "the credential is not allowed to do this: the destination is paused"),
    Rule(408, 408, "transient", "the service gave up waiting for the request"),
    Rule(409, 409, "transient", "another request is changing the same thing, or a call with this key is in progress"),
    Rule(425, 425, "transient", "too early: the service asks to send it again"),
    Rule(429, 429, "rate_limited", "too many requests: the whole destination waits, the circuit does not count it"),
    Rule(500, 599, "transient", "the service is failing: the circuit counts it"),
    Rule(
        300, 399, "permanent", "a redirect that is not followed: to another host, or of a request that it would change"
    ),
    Rule(400, 499, "permanent", "the service refuses this call, and would refuse it again"),
    Rule(0, 999, "permanent", "not an answer that HTTP knows"),
)

LIMIT_HEADERS = frozenset(
    {
        b"retry-after",
        b"ratelimit",
        b"ratelimit-limit",
        b"ratelimit-policy",
        b"ratelimit-remaining",
        b"ratelimit-reset",
        b"x-ratelimit-limit",
        b"x-ratelimit-remaining",
        b"x-ratelimit-reset",
        b"x-ratelimit-reset-after",
        b"x-rate-limit-limit",
        b"x-rate-limit-remaining",
        b"x-rate-limit-reset",
    }
)
_SECONDS = re.compile(r"[0-9]{1,64}(?:\.[0-9]{0,64})?", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,13}(?:\.[0-9]{1,9})?", re.ASCII)
_STRUCTURED = re.compile(r"\br=0(?:\.0*)?(?:;[^,]*)?;t=([0-9]{1,9})\b", re.ASCII)


def rule_for(status: int) -> Rule:
    """Return the row of the table that decides about ``status``."""
    return next(rule for rule in RULES if rule.first <= status <= rule.last)


def error_for(
    status: int,
    headers: Mapping[bytes, bytes],
    *,
    now_s: float,
    explanation: str = "",
    rule: Rule | None = None,
    wait_s: float | None = None,
) -> CallError | None:
    """Return what to raise for an answer, or None if the call is accepted.

    ``headers`` are those of `LIMIT_HEADERS` that the answer has. ``explanation`` is what the service says about it.
    ``rule`` decides in place of the table, and ``wait_s`` is the wait that the service asks for elsewhere than in its
    headers: both are a connector's, for what is peculiar to its service.
    """
    rule = rule or rule_for(status)
    if rule.meaning == "ok":
        return None
    text = f"the destination answered {status} ({rule.because})" + (f": {explanation}" if explanation else "")
    if rule.meaning == "credentials_refused":
        return CredentialsRefused(text, status=status)
    if rule.meaning == "rate_limited":
        asked_s = _asked_wait_s(headers, now_s) if wait_s is None else wait_s
        return RateLimited(text, status=status, retry_after_s=asked_s)
    if rule.meaning == "transient":
        after = retry_after_s(headers.get(b"retry-after", b"").decode("latin-1"), now_s=now_s)
        return TransientError(text, status=status, retry_after_s=after if wait_s is None else wait_s)
    return PermanentError(text, status=status)


def retry_after_s(text: str, *, now_s: float) -> float | None:
    """Return the seconds that a ``Retry-After`` asks for, between 0 and a day; None if it is not one.

    Both forms are read: seconds, also with the fraction that RFC 9110 does not know and some services send, and an HTTP
    date (also the obsolete ones). ``now_s`` is Unix time.
    """
    text = text.strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), RETRY_AFTER_S_MAX)
    if len(text) > 64:
        return None
    try:
        moment_s = parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError, OSError):
        return None
    return min(max(moment_s - now_s, 0.0), RETRY_AFTER_S_MAX)


def exhausted_s(headers: Mapping[bytes, bytes], *, now_s: float) -> float | None:
    """Return the seconds until the quota is filled again if an answer, of any status, says that it is used up."""
    structured = _STRUCTURED.search(headers.get(b"ratelimit", b"").decode("latin-1"))
    if structured:
        return min(float(structured[1]), RETRY_AFTER_S_MAX)
    for prefix in (b"x-ratelimit-", b"ratelimit-", b"x-rate-limit-"):
        if headers.get(prefix + b"remaining", b"").strip() == b"0":
            return reset_s(headers, now_s)
    return None


def explain(body: bytes, *, mask: Callable[[str], str] = str) -> str:
    """Return what a failed answer says about itself, in the fields that services use for it; nothing else of it.

    Each text goes through ``mask`` before it is cut.
    """
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    texts: list[str] = []
    for holder in _holders(said):
        for name in EXPLAINING:
            value = holder.get(name)
            text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
            if isinstance(text, str) and (masked := mask(text)) not in texts:
                texts.append(masked)
    return " ".join("".join(letter if letter.isprintable() else " " for letter in ": ".join(texts)[:2000]).split())


# The fields in which services explain a failure, at the top, under "error" and in the list "errors".
EXPLAINING = ("code", "error_code", "error", "type", "title", "message", "description", "detail", "error_description")


def _holders(said: object) -> list[Mapping[str, object]]:
    """Return the objects of a failed answer that may explain it: itself, its ``error``, and its first ``errors``."""
    found = [said]
    if isinstance(said, dict):
        errors = said.get("errors")
        found += [said.get("error"), *(errors[:3] if isinstance(errors, list) else [])]
    return [
        {"message": holder} if isinstance(holder, str) else holder for holder in found if isinstance(holder, dict | str)
    ]


def _asked_wait_s(headers: Mapping[bytes, bytes], now_s: float) -> float | None:
    after = retry_after_s(headers.get(b"retry-after", b"").decode("latin-1"), now_s=now_s)
    if after is not None:
        return after
    used_up = exhausted_s(headers, now_s=now_s)
    return used_up if used_up is not None else reset_s(headers, now_s)


def reset_s(headers: Mapping[bytes, bytes], now_s: float) -> float | None:
    """Return the seconds until a quota is filled again, between 0 and a day, if an answer says so."""
    names = (b"x-ratelimit-reset-after", b"x-ratelimit-reset", b"ratelimit-reset", b"x-rate-limit-reset")
    for name in names:
        text = headers.get(name, b"").decode("latin-1").strip()
        if _NUMBER.fullmatch(text):
            number = float(text)
            # Services differ: seconds from now, Unix seconds, or Unix milliseconds. Nobody means 30 years from now.
            wait_s = number / 1000 - now_s if number > 1e12 else number - now_s if number > 1e9 else number
            return min(max(wait_s, 0.0), RETRY_AFTER_S_MAX)
    return None
