"""Credentials in what people typed into Zaps: found, taken out, and never written anywhere again.

It errs on the side of finding: what looks like a credential and is none costs its owner one variable to set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import urlsplit

MASK = "***"
GUARDED_CHARS_MIN = 6  # shorter ones would blot out ordinary words

_NAMES = re.compile(
    r"auth|token|secret|passw|pwd|api[-_ ]?key|apikey|access[-_ ]?key|private[-_ ]?key|credential|bearer|signature"
    r"|session|cookie|\bkey\b|^key$|x-.*-key|client[-_ ]?id|webhook[-_ ]?url|pin$",
    re.IGNORECASE,
)
# What services call their credentials by: the beginning alone tells.
_KNOWN = re.compile(
    r"(?:sk|pk|rk)_(?:live|test)_\w+|xox[abposr]-[\w-]+|xapp-[\w-]+|gh[pousr]_\w+|github_pat_\w+|glpat-[\w-]+"
    r"|AKIA[0-9A-Z]{12,}|ASIA[0-9A-Z]{12,}|AIza[\w-]{20,}|ya29\.[\w-]+|SG\.[\w-]+\.[\w-]+|key-[0-9a-f]{16,}"
    r"|EAA[A-Za-z0-9]{20,}|eyJ[\w-]+\.[\w-]*\.?[\w-]*|whsec_[\w+/=-]+|shp(?:at|ca|pa|ss)_\w+|pat[\w]{10,}\.\w+"
    r"|secret_\w{10,}|ntn_\w{10,}|[0-9]{8,10}:[\w-]{30,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END[^-]*-----|\Z)",
    re.DOTALL | re.ASCII,
)
_SCHEMES = re.compile(r"\b(?:Bearer|Basic|Token|Digest|ApiKey)\s+\S+", re.IGNORECASE)
_LONG = re.compile(r"(?<![\w/+=.-])[\w/+=.-]{20,}(?![\w/+=.-])", re.ASCII)
# Addresses that are credentials: who knows them can post.
_HOOKS = re.compile(
    r"https?://(?:hooks\.slack\.com/|hooks\.zapier\.com/|(?:\w+\.)?discord(?:app)?\.com/api/webhooks/"
    r"|[\w.-]+\.webhook\.office\.com/|outlook\.office\.com/webhook/|api\.telegram\.org/bot|[\w.-]*hook[\w.-]*/)\S*",
    re.IGNORECASE,
)
_USER_IN_URL = re.compile(r"(?<=://)[^/@\s]+@")
_QUERY_VALUE = re.compile(r"(?<=[?&])([\w.~%-]+)=([^&\s#]+)")


def is_credential_name(name: str) -> bool:
    """Return whether a header, parameter or field of this name usually holds a credential."""
    return _NAMES.search(name) is not None


def looks_like_credential(value: str) -> bool:
    """Return whether a value looks like a credential by itself, or is an address that works as one."""
    if _KNOWN.search(value) or _SCHEMES.search(value) or _HOOKS.search(value):
        return True
    return any(_is_random(found) for found in _LONG.findall(value))


def redact(text: str) -> str:
    """Return the text with everything that looks like a credential masked."""
    text = _HOOKS.sub(_host_alone, text)
    text = _USER_IN_URL.sub(MASK + "@", text)
    text = _QUERY_VALUE.sub(lambda m: f"{m[1]}={MASK}" if is_credential_name(m[1]) else m[0], text)
    text = _SCHEMES.sub(MASK, _KNOWN.sub(MASK, text))
    return _LONG.sub(lambda m: MASK if _is_random(m[0]) else m[0], text)


def credentials_in(value: object, name: str = "") -> Iterator[str]:
    """Yield every text within ``value`` that looks like a credential, by itself or by the name it stands under."""
    if isinstance(value, Mapping):
        named = value.get("key", value.get("name"))
        paired = isinstance(named, str) and "value" in value  # {"key": "Authorization", "value": …} is a header
        for key, item in value.items():
            under = str(named) if paired and key == "value" else "" if paired and item is named else str(key)
            yield from credentials_in(item, under)
    elif isinstance(value, list):
        for item in value:
            yield from credentials_in(item, name)
    elif isinstance(value, str):
        if is_credential_name(name) and "{{" not in value:
            yield value.strip()
        yield from (match[0] for match in _KNOWN.finditer(value))
        yield from (match[0] for match in _HOOKS.finditer(value))
        yield from (match[0].split(None, 1)[1] for match in _SCHEMES.finditer(value))
        yield from (match[0].rstrip("@") for match in _USER_IN_URL.finditer(value))
        yield from (match[2] for match in _QUERY_VALUE.finditer(value) if is_credential_name(match[1]))
        yield from (found for found in _LONG.findall(value) if _is_random(found))


def without(text: str, credentials: Iterable[str]) -> str:
    """Return the text without any of these: the last guard, should one have come through as a part of something."""
    for credential in sorted(set(credentials), key=len, reverse=True):
        if len(credential) >= GUARDED_CHARS_MIN:
            text = text.replace(credential, MASK)
    return text


def _host_alone(match: re.Match[str]) -> str:
    return f"https://{urlsplit(match[0]).hostname or ''}/{MASK}"


def _is_random(text: str) -> bool:
    """Return whether a long run without spaces is more likely a key than words, a name or a path."""
    if text.startswith(("http", "www.")) or "__" in text:
        return False
    digits = sum(letter.isdigit() for letter in text)
    letters = sum(letter.isalpha() for letter in text)
    upper = sum(letter.isupper() for letter in text)
    if digits == 0:
        return len(text) >= 32 and 0 < upper < letters  # base64 has both cases
    return letters >= 4 and digits >= 3
