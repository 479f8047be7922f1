"""Steps of Formatter by Zapier as expressions: those that have a counterpart among Headrace's filters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from headrace.zapier.references import Outputs, Untranslatable, expression, has_reference, quoted

_WHOLE = re.compile(r"\s*\{\{\s*(.+?)\s*\}\}\s*", re.DOTALL)
_TIME_TOKENS = {
    "YYYY": "%Y",
    "YY": "%y",
    "MMMM": "%B",
    "MMM": "%b",
    "MM": "%m",
    "DD": "%d",
    "dddd": "%A",
    "ddd": "%a",
    "HH": "%H",
    "hh": "%I",
    "mm": "%M",
    "ss": "%S",
    "A": "%p",
    "ZZ": "%z",
}
_TIME = re.compile("|".join(sorted(_TIME_TOKENS, key=len, reverse=True)) + "|[A-Za-z]+|[^A-Za-z]+")


def formatted(params: Mapping[str, Any], outputs: Outputs) -> str:
    """Return the expression for what a formatter step gives.

    Raises:
        Untranslatable: no filter does this.
    """
    name = str(params.get("transform", params.get("type", ""))).lower().rpartition(".")[2]
    name = re.sub(r"[^a-z]", "", name)
    value = _input(params, outputs)
    plain = {
        "uppercase": "upper",
        "lowercase": "lower",
        "titlecase": "title",
        "capitalize": "capitalize",
        "trimwhitespace": "trim",
        "trim": "trim",
        "length": "length",
    }.get(name)
    if plain is not None:
        return f"{value} | string | {plain}"
    if name in ("replace", "findreplace"):
        return f"({value} | string).replace({_text(params, 'find')}, {_text(params, 'replace')})"
    if name in ("defaultvalue", "default"):
        return f"{value} | default({_text(params, 'default_value', 'default', 'value')}, true)"
    if name in ("split", "splittext"):
        place = str(params.get("segment_index", params.get("index", "0"))).strip()
        place = {"first": "0", "last": "-1", "": "0"}.get(place.lower(), place)
        if not re.fullmatch(r"-?[0-9]{1,4}", place, re.ASCII):
            raise Untranslatable("a formatter step splits into all segments")
        return f"({value} | string).split({_text(params, 'separator', 'delimiter')})[{place}]"
    if name in ("formatting", "formatdate", "format"):
        return f"{value} | format_time({quoted(_time_format(params))})"
    raise Untranslatable("a formatter step that has no filter")


def _input(params: Mapping[str, Any], outputs: Outputs) -> str:
    given = params.get("inputs", params.get("input"))
    if isinstance(given, dict):
        given = next(iter(given.values()), None)
    if isinstance(given, list):
        given = given[0] if len(given) == 1 else None
    match = _WHOLE.fullmatch(given) if isinstance(given, str) and has_reference(given) else None
    if match is None:
        raise Untranslatable("a formatter step whose input is not one field")
    return expression(match[1], outputs)


def _text(params: Mapping[str, Any], *names: str) -> str:
    value = next((params[name] for name in names if name in params), "")
    if not isinstance(value, str | int | float) or has_reference(str(value)):
        raise Untranslatable("a formatter step whose setting comes from another step")
    return quoted({"[:space:]": " ", "[:comma:]": ","}.get(str(value), str(value)))


def _time_format(params: Mapping[str, Any]) -> str:
    wanted = str(params.get("to_format", params.get("format", "")))
    pieces = []
    for piece in _TIME.findall(wanted):
        if piece in _TIME_TOKENS:
            pieces.append(_TIME_TOKENS[piece])
        elif piece.isascii() and not any(letter.isalpha() or letter == "%" for letter in piece):
            pieces.append(piece)
        else:
            raise Untranslatable("a formatter step with a time format that has no counterpart")
    if not pieces:
        raise Untranslatable("a formatter step without a time format")
    return "".join(pieces)
