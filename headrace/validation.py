"""Pydantic's errors as mistakes: one per value, in plain words, never with the value itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from connectors.faults import faults
from headrace.document import Node
from headrace.mistakes import Keys, Mistake, closest, written
from streams.routing import NAME_PATTERN

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
        self._whole: dict[Keys, str] = {}  # what validators of a whole model say

    @property
    def mistakes(self) -> list[Mistake]:
        """All mistakes so far."""
        whole = [
            Mistake(self._document.line_of(keys), written(keys), sentence)
            for keys, sentence in self._whole.items()
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
                self._whole[keys] = " or ".join(fault.sentence for fault in faults(whole, model, value))
            return None

    def add_errors(self, errors: Iterable[ErrorDetails], model: type[BaseModel], value: object, keys: Keys) -> None:
        """Note pydantic's ``errors`` about ``value``, which stands at ``keys``."""
        for fault in faults(errors, model, value):
            place = (*keys, *fault.path)
            if fault.kind == "unknown":
                self._unknown_key(place, fault.known)
            elif fault.kind == "missing":
                self.add(place[:-1] or keys, fault.sentence)
            elif fault.pattern == NAME_PATTERN:
                self.add(place, *name_mistake())
            elif fault.pattern and any("_env" in str(key) for key in place):
                self.add(place, *ENV_NAME_MISTAKE)
            else:
                self.add(place, fault.sentence)

    def _unknown_key(self, place: Keys, known: Collection[str]) -> None:
        key = str(place[-1])
        for_secret = next((name for name in (f"{key}_env", f"{key.removesuffix('s')}_env") if name in known), None)
        if for_secret:
            message = "a secret is never written into the routing table"
            self.add(place, message, f"put it into the environment, and the variable's name into {for_secret!r}")
            return
        self.add(place, "this key is not known here", closest(key, known))


def name_mistake() -> tuple[str, str]:
    """Return what is wrong with the name of a source, destination or route, and what one looks like."""
    return f"the name must match {NAME_PATTERN.strip('^$')}", "lower-case letters, digits and -, at most 63"
