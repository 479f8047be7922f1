"""What Jinja and Python complain of in an expression, in the words of the routing table."""

from __future__ import annotations

import re

_KINDS = {
    "bool": "true or false",
    "dict": "a mapping",
    "float": "a number",
    "int": "a whole number",
    "list": "a list",
    "None": "null",
    "NoneType": "null",
    "str": "a text",
}
_MISSING = re.compile(r"'(?:(\w+) object|(None))' has no attribute ('.*')", re.DOTALL)
_ELEMENT = re.compile(r"(\w+) object has no element (.*)", re.DOTALL)
_NO_LIST = re.compile(r"'(\w+)' object is not iterable")


def in_plain_words(reason: str) -> str:
    """Return ``reason`` without the names of Python's types; one that is of no known form stays as it is."""
    if (missing := _MISSING.fullmatch(reason)) is not None:
        kind = missing[1] or missing[2]
        return f"there is no field {missing[3]}" if kind == "dict" else f"{_kind(kind)} has no field {missing[3]}"
    if (element := _ELEMENT.fullmatch(reason)) is not None:
        if element[1] == "dict":
            return f"there is no field {element[2]}"
        return f"{_kind(element[1])} has no element {element[2]}"
    if (no_list := _NO_LIST.fullmatch(reason)) is not None:
        return f"{_kind(no_list[1])} is not a list"
    return reason


def _kind(name: str) -> str:
    return _KINDS.get(name, f"a {name}")
