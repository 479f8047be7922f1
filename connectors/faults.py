"""What pydantic refuses, in plain words: one fault a value, at its place, and never with the value itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

Path = tuple[str | int, ...]
EXAMPLE_CHARS_MAX = 60
KEYS_SHOWN_MAX = 6


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one value; ``path`` leads to it, and to the key that is missing or unknown.

    ``known`` are the keys that there are in the place of an unknown one, and ``pattern`` what a text does not match.
    """

    path: Path
    kind: Literal["missing", "unknown", "wrong"]
    sentence: str
    known: tuple[str, ...] = ()
    pattern: str = ""


def faults(errors: Iterable[ErrorDetails], model: type[BaseModel], value: object) -> list[Fault]:
    """Return what is wrong with ``value``, of which pydantic's ``model`` says ``errors``; their context is needed."""
    keys: list[Fault] = []
    wrong: dict[Path, list[ErrorDetails]] = {}  # one error for each member of a union
    for error in errors:
        path = _path(error["loc"], value, error["type"])
        if error["type"] == "missing" and isinstance(error["loc"][-1], str):
            keys.append(Fault(path, "missing", f"{path[-1]!r} is missing"))
        elif error["type"] == "extra_forbidden":
            models, _ = _at(model, error["loc"][:-1])
            known = tuple(name for found in models for name in key_names(found))
            keys.append(Fault(path, "unknown", "this key is not known here", known))
        else:
            wrong.setdefault(path, []).append(error)
    deeper = [*wrong, *(fault.path for fault in keys)]
    return [*keys, *(_fault(path, group, model) for path, group in wrong.items() if not _shadowed(path, group, deeper))]


def key_names(model: type[BaseModel]) -> list[str]:
    """Return the keys that a model takes, as they are written in the table."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _shadowed(path: Path, group: list[ErrorDetails], others: list[Path]) -> bool:
    """Return whether another member of a union has the value's type, and its mistake is within."""
    return all(map(_is_type, group)) and any(other[: len(path)] == path != other for other in others)


def _fault(path: Path, group: list[ErrorDetails], model: type[BaseModel]) -> Fault:
    # The member of a union that has the value's type says best what is wrong with it.
    close = [error for error in group if not _is_type(error)] or group
    models, field = _at(model, group[0]["loc"])
    sentences = dict.fromkeys(_sentence(error, path, models) for error in close)
    sentence = " or ".join(sentences).replace(" or must be ", " or ").replace("a whole number or a number", "a number")
    if field is not None and path and isinstance(path[-1], str) and all(e["type"] in _EXEMPLIFIED for e in close):
        sentence += _example(field)
    patterns = [error["ctx"]["pattern"] for error in group if error["type"] == "string_pattern_mismatch"]
    return Fault(path, "wrong", sentence, pattern=patterns[0] if patterns else "")


def _path(loc: tuple[int | str, ...], value: object, kind: str) -> Path:
    """Return ``loc`` without the names of union members that pydantic mixes in."""
    path: list[int | str] = []
    for number, key in enumerate(loc):
        last = number == len(loc) - 1
        if isinstance(value, Mapping) and (key in value or (last and kind in ("missing", "extra_forbidden"))):
            path.append(key)
            value = value.get(key)
        elif isinstance(value, list | tuple) and isinstance(key, int) and key < len(value):
            path.append(key)
            value = value[key]
    return tuple(path)


def _at(model: type[BaseModel], loc: tuple[int | str, ...]) -> tuple[list[type[BaseModel]], FieldInfo | None]:
    """Return the models that a value at ``loc`` may be of, through lists, mappings and unions, and its last field."""
    models, last = [model], None
    for key in loc:
        fields = (found for one in models for found in one.model_fields.items())
        field = next((field for name, field in fields if key in (name, field.alias)), None)
        if field is not None:
            models, last = _models_in(field.annotation), field
    return models, last


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


_NUMBERS = {
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
}
_SENTENCES = {
    **_NUMBERS,
    "string_type": "must be text",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "missing": "holds too few values",  # of a list of fixed length
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
}
_EXEMPLIFIED = frozenset({*_NUMBERS, "string_type", "list_type", "tuple_type", "missing"})
_BOUNDS = {
    "greater_than": ("gt", "must be greater than {}"),
    "greater_than_equal": ("ge", "must be at least {}"),
    "less_than": ("lt", "must be less than {}"),
    "less_than_equal": ("le", "must be at most {}"),
    "too_short": ("min_length", "must hold at least {}"),
    "too_long": ("max_length", "must hold at most {}"),
    "string_too_short": ("min_length", "must have at least {} characters"),
    "string_too_long": ("max_length", "must have at most {} characters"),
    "literal_error": ("expected", "must be {}"),
    "enum": ("expected", "must be {}"),
}
_UNITS = {"_s": " of seconds", "bytes_max": " of bytes", "bytes_min": " of bytes"}


def _is_type(error: ErrorDetails) -> bool:
    return error["type"].endswith("_type") or error["type"] == "int_from_float"


def _sentence(error: ErrorDetails, path: Path, models: Sequence[type[BaseModel]]) -> str:
    context: dict[str, Any] = error.get("ctx") or {}
    kind = error["type"]
    if kind in _NUMBERS:
        return _NUMBERS[kind] + _unit(path)
    if kind in ("model_type", "model_attributes_type") and models:
        return f"must be a mapping with {_keys(models[0])}"
    if kind in _SENTENCES:
        return _SENTENCES[kind]
    if kind in _BOUNDS:
        name, sentence = _BOUNDS[kind]
        bound = context.get(name)
        return sentence.format(f"{bound:.15g}" if isinstance(bound, float) else bound)
    if kind.startswith(("datetime_", "date_")):
        return "must be a time such as 2026-12-01T09:00Z, or a date"
    if kind == "string_pattern_mismatch" and "/[smh]" in context["pattern"]:
        return "must be a rate such as 10/s, 100/m or 1000/h"
    if kind == "string_pattern_mismatch":
        return f"must match {context['pattern'].strip('^$')}"
    return (
        error["msg"]
        .removeprefix("Value error, ")
        .removeprefix("Assertion failed, ")
        .replace("Input should be", "must be")
        .replace("a valid ", "a ")
    )


def _unit(path: Path) -> str:
    name = next((key for key in reversed(path) if isinstance(key, str)), "")
    return next((unit for end, unit in _UNITS.items() if name.endswith(end)), "")


def _keys(model: type[BaseModel]) -> str:
    names = key_names(model)
    if len(names) > KEYS_SHOWN_MAX:
        return f"keys such as {', '.join(names[:KEYS_SHOWN_MAX])}"
    return f"the key{'s' if names[1:] else ''} {', '.join(names)}"


def _example(field: FieldInfo) -> str:
    """Return how a value that is wanted is written, out of the field's examples or its default."""
    shown = field.examples[0] if field.examples else field.get_default(call_default_factory=True, validated_data={})
    if not isinstance(shown, str | int | float | list | tuple) or isinstance(shown, bool) or not shown:
        return ""
    try:
        text = json.dumps(shown)
    except TypeError:
        return ""
    return f", such as {text}" if len(text) <= EXAMPLE_CHARS_MAX else ""
