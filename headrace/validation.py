"""Pydantic's errors as mistakes: one per value, in plain words, never with the value itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from headrace.document import Node
from headrace.mistakes import Keys, Mistake, closest, written

ENV_NAME_MISTAKE = (
    "must be the name of an environment variable, not the secret itself",
    "such as GITHUB_WEBHOOK_SECRET",
)

Model = TypeVar("Model", bound=BaseModel)


class Findings:
    """Collects the mistakes of one document."""

    def __init__(self, document: Node) -> None:
        self._document = document
        self._found: dict[tuple[Keys, str], Mistake] = {}
        self._whole: dict[Keys, list[ErrorDetails]] = {}  # what validators of a whole model say

    @property
    def mistakes(self) -> list[Mistake]:
        """All mistakes so far."""
        whole = [
            Mistake(self._document.line_of(keys), written(keys), _sentence_of(errors))
            for keys, errors in self._whole.items()
            if not self.at(keys)
        ]
        return [*self._found.values(), *whole]

    def add(self, keys: Keys, message: str, suggestion: str = "") -> None:
        """Note a mistake at ``keys``; the same one twice counts once."""
        line = self._document.line_of(keys)
        self._found.setdefault((keys, message), Mistake(line, written(keys), message, suggestion))

    def at(self, keys: Keys) -> bool:
        """Return whether a mistake was found at ``keys`` or within."""
        return any(found[: len(keys)] == keys for found, _ in self._found)

    def validate(
        self, model: type[Model], value: Mapping[str, object], keys: Keys, *, base_dir: Path | None = None
    ) -> Model | None:
        """Return ``value`` as ``model``, or note every mistake in it and return ``None``.

        ``base_dir`` is where relative paths in the table start.

        Pydantic runs validators of the whole model only if each value is right by itself: what they check must also
        be checked apart. What they say counts only where nothing else is found.
        """
        try:
            return model.model_validate(value, context={"base_dir": base_dir or Path()})
        except ValidationError as error:
            errors = error.errors(include_url=False)
            self.add_errors([found for found in errors if found["loc"]], model, value, keys)
            if whole := [found for found in errors if not found["loc"]]:
                self._whole[keys] = whole
            return None

    def add_errors(self, errors: Iterable[ErrorDetails], model: type[BaseModel], value: object, keys: Keys) -> None:
        """Note pydantic's ``errors`` about ``value``, which stands at ``keys``."""
        wanted: dict[Keys, list[ErrorDetails]] = {}
        for error in errors:
            place = (*keys, *_place(error["loc"], value, error["type"]))
            if error["type"] == "extra_forbidden":
                self._unknown_key(place, _model_at(model, error["loc"][:-1]))
            elif error["type"] == "missing":
                self.add(place[:-1] or keys, f"{place[-1]!r} is missing")
            else:
                wanted.setdefault(place, []).append(error)
        for place, group in wanted.items():  # one error for each member of a union
            if all(map(_is_type, group)) and any(other[: len(place)] == place != other for other in wanted):
                continue  # another member of the union has the value's type, and its mistake is within
            if any("_env" in str(key) for key in place) and any(_is_pattern(error) for error in group):
                self.add(place, *ENV_NAME_MISTAKE)
            else:
                self.add(place, _sentence_of(group))

    def _unknown_key(self, place: Keys, model: type[BaseModel] | None) -> None:
        key = str(place[-1])
        known = key_names(model) if model else []
        for_secret = next((name for name in (f"{key}_env", f"{key.removesuffix('s')}_env") if name in known), None)
        if for_secret:
            message = "a secret is never written into the routing table"
            self.add(place, message, f"put it into the environment, and the variable's name into {for_secret!r}")
            return
        self.add(place, "this key is not known here", closest(key, known))


def key_names(model: type[BaseModel]) -> list[str]:
    """Return the keys that a model takes, as they are written in the table."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _place(loc: tuple[int | str, ...], value: object, kind: str) -> Keys:
    """Return ``loc`` without the names of union members that pydantic mixes in."""
    place: list[int | str] = []
    for number, key in enumerate(loc):
        last = number == len(loc) - 1
        if isinstance(value, Mapping) and (key in value or (last and kind in ("missing", "extra_forbidden"))):
            place.append(key)
            value = value.get(key)
        elif isinstance(value, list | tuple) and isinstance(key, int) and key < len(value):
            place.append(key)
            value = value[key]
    return tuple(place)


def _model_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel] | None:
    """Return the model of a part, following plain fields alone; ``None`` where the way is not that plain."""
    for key in loc:
        field = next((field for name, field in model.model_fields.items() if key in (name, field.alias)), None)
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            return None
        model = field.annotation
    return model


_SENTENCES = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
}
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


def _is_type(error: ErrorDetails) -> bool:
    return error["type"].endswith("_type")


def _is_pattern(error: ErrorDetails) -> bool:
    return error["type"] == "string_pattern_mismatch"


def _sentence_of(group: list[ErrorDetails]) -> str:
    # The member of a union that has the value's type says best what is wrong with it.
    close = [error for error in group if not _is_type(error)] or group
    return " or ".join(dict.fromkeys(map(_sentence, close))).replace(" or must be ", " or ")


def _sentence(error: ErrorDetails) -> str:
    context: dict[str, Any] = error.get("ctx") or {}
    kind = error["type"]
    if kind in _SENTENCES:
        return _SENTENCES[kind]
    if kind in _BOUNDS:
        name, sentence = _BOUNDS[kind]
        return sentence.format(context.get(name))
    if kind == "string_pattern_mismatch" and "/[smh]" in context["pattern"]:
        return "must be a rate such as 10/s, 100/m or 1000/h"
    if kind == "string_pattern_mismatch":
        return f"must match {context['pattern'].strip('^$')}"
    return (
        error["msg"]
        .removeprefix("Value error, ")
        .removeprefix("Assertion failed, ")
        .replace("Input should be", "must be")
    )
