"""Cuts credentials out of text that people will see: what a service says about a failure may repeat them."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "***"
MASKED_CHARS_MIN = 4  # a shorter secret would blot out ordinary words
_ENCODED_CHARS_MIN = 6  # of a secret within Base64: fewer occur by chance


class Mask:
    """Replaces secrets, as they stand and as they are usually encoded: percent, JSON, and Base64 of any of these.

    Not found are other encodings, and a secret that the text holds only a part of.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: list[str] = []
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Mask this secret too, such as a token that was obtained at run time."""
        if len(secret) >= MASKED_CHARS_MIN:
            # The longest first: a form that holds another must not be broken up by it.
            self._forms = sorted({*self._forms, *_forms(secret)}, key=len, reverse=True)

    def text(self, text: str) -> str:
        """Return ``text`` with every secret replaced."""
        for form in self._forms:
            text = text.replace(form, MASK)
        return text

    def value(self, value: object) -> object:
        """Return a JSON-like value with the secrets in all of its texts and keys replaced."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.value(key): self.value(item) for key, item in value.items()}
        return [self.value(item) for item in value] if isinstance(value, list) else value

    def beginning(self, text: str, *, whole: bool) -> str:
        """Return `text` masked; where it is not the whole, without as much of its end as may be a part of a secret."""
        masked = self.text(text)
        return masked if whole else masked[: max(0, len(masked) - self.chars_max)]

    @property
    def chars_max(self) -> int:
        """The length of the longest form: who cuts text short keeps as many characters more until it is masked."""
        return len(self._forms[0]) if self._forms else 0


def _forms(secret: str) -> set[str]:
    raw = secret.encode("utf-8", "surrogateescape")
    percent = {quote(raw, safe=""), quote_plus(raw), quote(raw)}
    json_text = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    written = {raw, *(form.encode("utf-8", "surrogateescape") for form in percent | json_text)}
    return {secret, *percent, *json_text, *(form for one in written for form in _base64_forms(one))}


def _base64_forms(raw: bytes) -> set[str]:
    """Return what Base64 makes of ``raw`` within a longer text, such as ``user:password``, at each alignment."""
    forms = set()
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")
        whole = encoded[math.ceil(before * 8 / 6) : (before + len(raw)) * 8 // 6]
        if len(whole) >= _ENCODED_CHARS_MIN:
            forms |= {whole, whole.replace("+", "-").replace("/", "_")}
    return forms
