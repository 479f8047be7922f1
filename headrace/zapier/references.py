"""What Zapier's ``{{123__field}}`` becomes: an expression over the event.

``123`` is a step and ``field`` a path into what it gave, with ``__`` between its keys, numbers for places in lists, and
``[]`` for the column of a list ("line items"). Only the trigger's fields, and those that formatter steps make of them,
are in an event; what an action answered is not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

_REFERENCE = re.compile(r"\{\{\s*(.+?)\s*\}\}", re.DOTALL)
_FIELD = re.compile(r"([A-Za-z0-9-]+)__(.+)", re.DOTALL)
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
_RESERVED = frozenset({"and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "True", "False", "None"})
_OPENERS = re.compile(r"\{[{%#]|[}%#]\}")
_MOMENTS = frozenset({"zap_meta_human_now", "zap_meta_utc_iso", "zap_meta_edt_iso", "zap_meta_timestamp"})
KEYS_MAX = 20


class Untranslatable(Exception):
    """Something has no counterpart here; the text says what, without any value that somebody typed."""


Outputs = Mapping[str, str]
"""Expressions for the output of steps, by the step's id, where the event alone gives it; ``body`` is the trigger's."""


def has_reference(text: str) -> bool:
    """Return whether a text refers to a step."""
    return _REFERENCE.search(text) is not None


def translate(text: str, outputs: Outputs) -> str:
    """Return the template for a text that may refer to steps.

    Raises:
        Untranslatable: it refers to a step whose output is not in the event.
    """
    pieces: list[str] = []
    end = 0
    for match in _REFERENCE.finditer(text):
        pieces.append(_literal(text[end : match.start()]))
        pieces.append("{{ " + expression(match[1], outputs) + " }}")
        end = match.end()
    pieces.append(_literal(text[end:]))
    return "".join(pieces)


def expression(reference: str, outputs: Outputs, *, missing: str | None = None) -> str:
    """Return the expression for one reference, without braces.

    With ``missing`` a field that is not there gives that value, as it does in Zapier's filters.

    Raises:
        Untranslatable: as `translate`.
    """
    if reference in _MOMENTS:
        return "event.time"
    match = _FIELD.fullmatch(reference)
    if match is None:
        raise Untranslatable("a reference of a form that is not known")
    step, path = match.groups()
    root = outputs.get(step)
    if root is None:
        raise Untranslatable(f"it uses what step {step} answered, which is not in the event")
    if root != "body":
        return f"({root})" if missing is None else f"(({root}) | default({missing}, true))"
    return _path(root, path, missing)


def _path(root: str, path: str, missing: str | None) -> str:
    keys = path.split("__")
    if len(keys) > KEYS_MAX:
        raise Untranslatable("a reference of too many keys")
    text = root
    for number, key in enumerate(keys):
        if "[]" in key:
            listed, _, column = key.partition("[]")
            text = _step_into(text, listed) if listed else text
            return f"{text} | map(attribute={quoted(column)}) | join(',')" if column else f"{text} | join(',')"
        text = _step_into(text, key)
        if missing is not None:
            last = number == len(keys) - 1
            text = f"({text} | default({missing if last else '{}'}, true))"
    return text


def _step_into(text: str, key: str) -> str:
    if key.isascii() and key.isdigit() and len(key) < 6:
        return f"{text}[{int(key)}]"
    if _IDENTIFIER.fullmatch(key) and key not in _RESERVED:
        return f"{text}.{key}"
    return f"{text}[{quoted(key)}]"


def quoted(text: str) -> str:
    """Return a text as an expression writes it; braces are escaped, for two of them would begin or end a template."""
    return json.dumps(text).replace("{", "\\u007b").replace("}", "\\u007d")


def _literal(text: str) -> str:
    """Return text that renders as itself: what Jinja would read is put in as a string."""
    return _OPENERS.sub(lambda match: "{{ " + quoted(match[0]) + " }}", text)
