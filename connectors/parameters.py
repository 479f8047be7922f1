"""An action's parameters, derived from its signature: what ``with`` may hold, checked before anything starts."""

from __future__ import annotations

import difflib
import inspect
import re
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from connectors.errors import PermanentError
from connectors.faults import Fault, Path, faults
from connectors.rules import has_expression

_EXPRESSION = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class UrlPath:
    """In a parameter's `Annotated`: it is a URL's path, and what a mapping puts into one is one part of it."""


@dataclass(frozen=True, slots=True)
class ParameterMistake:
    """What is wrong with one value of a mapping; ``path`` leads to it from the mapping's root."""

    path: Path
    message: str
    suggestion: str | None = None


def parameters_model(name: str, function: Callable[..., Any]) -> type[BaseModel]:
    """Return the model of the keyword-only parameters of ``function``; with ``**fields``, any others too.

    A number is taken for a string, since an expression keeps its value's type.
    """
    parameters = inspect.signature(function).parameters.values()
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {
        parameter.name: (hints[parameter.name], ... if parameter.default is parameter.empty else parameter.default)
        for parameter in parameters
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    free = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    config = ConfigDict(extra="allow" if free else "forbid", coerce_numbers_to_str=True, allow_inf_nan=False)
    with warnings.catch_warnings():
        # A parameter may be called "json": only the fields of the instance are read, not BaseModel's old method.
        warnings.filterwarnings("ignore", message="Field name .* shadows an attribute", category=UserWarning)
        return create_model(name, __config__=config, **fields)


def url_paths(function: Callable[..., Any]) -> frozenset[str]:
    """Return the names of the parameters that are marked as a `UrlPath`."""
    hints = get_type_hints(function, include_extras=True)
    return frozenset(name for name, hint in hints.items() if UrlPath() in getattr(hint, "__metadata__", ()))


def read_parameters(model: type[BaseModel], rendered: Mapping[str, object]) -> dict[str, Any]:
    """Return the arguments of a call out of a rendered mapping.

    Raises:
        PermanentError: a parameter is missing, unknown or of another type; names it, and never shows its value.
    """
    try:
        read = model.model_validate(dict(rendered))
    except ValidationError as error:
        found = faults(error.errors(include_input=False, include_url=False), model, rendered)
        texts = [f"{'.'.join(map(str, fault.path))}: {fault.sentence}" for fault in found[:5]]
        raise PermanentError("the rendered parameters do not fit the action: " + "; ".join(texts)) from None
    return {**read.__dict__, **(read.__pydantic_extra__ or {})}


def check_parameters(
    model: type[BaseModel], mapping: Mapping[str, object], url_paths: Collection[str] = frozenset()
) -> list[ParameterMistake]:
    """Return every mistake in a mapping as written; what an expression will give is unknown and passes.

    ``url_paths`` are the parameters of which what stands around the expressions is known to be wrong or right.
    """
    paths = {name: text for name in url_paths if isinstance(text := mapping.get(name), str)}
    mapping = {**mapping, **{name: _EXPRESSION.sub("x", text) for name, text in paths.items()}}
    try:
        model.model_validate(dict(mapping))
    except ValidationError as error:
        found = faults(error.errors(include_url=False), model, mapping)
        return [_mistake(model, fault) for fault in found if not _is_expression(fault, mapping)]
    return []


def _mistake(model: type[BaseModel], fault: Fault) -> ParameterMistake:
    if fault.path[1:] or fault.kind == "wrong":
        close = difflib.get_close_matches(str(fault.path[-1]), fault.known, n=1) if fault.known else []
        return ParameterMistake(fault.path, fault.sentence, f"did you mean {close[0]!r}?" if close else None)
    name = str(fault.path[0])
    if fault.kind == "missing":
        return ParameterMistake((name,), f"the parameter {name!r} is missing")
    close = difflib.get_close_matches(name, model.model_fields, n=1)
    known = ", ".join(model.model_fields)
    return ParameterMistake(
        (name,),
        f"there is no parameter {name!r}",
        f"did you mean {close[0]!r}?" if close else f"the parameters are: {known}",
    )


def _is_expression(fault: Fault, mapping: Mapping[str, object]) -> bool:
    """Return whether a value, and so its type, is known when it is rendered."""
    value: Any = mapping
    for key in fault.path if fault.kind == "wrong" else ():
        value = value[key]
    return has_expression(value)
