"""Expressions of the routing table: Jinja2, sandboxed, with undefined names as errors.

A template is any JSON-like value whose strings may hold ``{{ expressions }}``. A string that is one whole expression
keeps the type of its value; any other is text. Conditions (``when``) are bare expressions. What a rendering may take is
bounded (`streams.budget`), whatever the event holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from math import isfinite
from typing import Any, TypeVar

from jinja2 import TemplateError, Undefined, meta, nodes
from jinja2.exceptions import SecurityError

from streams.budget import CHARS_MAX, Budget
from streams.reasons import in_plain_words
from streams.sandbox import BUDGET, sandbox
from streams.transcoding import in_url_path

NAMES = frozenset({"body", "event", "headers"})
SOURCE_CHARS_MAX = 64 * 1024
SHOWN_CHARS_MAX = 200
REASON_CHARS_MAX = 300
_UNCOMPILABLE = (TemplateError, RecursionError, SyntaxError, MemoryError)

Scope = Mapping[str, object]
T = TypeVar("T")


class ExpressionError(ValueError):
    """An expression cannot be compiled or evaluated; the text names the expression and what is missing."""


_ENVIRONMENT = sandbox()  # immutable: compiled expressions share it
_URL_PATH = sandbox(url_path=True)


class Expression:
    """One compiled expression; ``evaluate`` gives its value with its own type."""

    __slots__ = ("_call", "_place", "source")

    def __init__(self, source: str, *, names: Collection[str] = NAMES, place: str = "") -> None:
        """Compile ``source``, with or without its ``{{ }}``; ``place`` is what an error says it is the value of.

        Raises:
            ExpressionError: it is not an expression, or uses a name that is not in ``names``.
        """
        inner = _whole(source) if has_expression(source) else None
        self.source = source.strip() if inner is None else inner
        if not self.source:
            raise ExpressionError("the expression is empty")
        self._place = place
        self._call = _compile_expression(self.source, names)

    def evaluate(self, scope: Scope) -> object:
        """Return the expression's value in ``scope``: JSON-like, with tuples and generators as lists.

        Raises:
            ExpressionError: a name or field is undefined, the operation fails, or the value is not JSON-like.
        """
        return _guard(self.source, self._call, scope, self._place)

    def holds(self, scope: Scope) -> bool:
        """Return whether the condition holds in ``scope``; raises as `evaluate`."""
        return bool(self.evaluate(scope))


class Template:
    """A compiled mapping: JSON-like in, JSON-like out."""

    __slots__ = ("_render",)

    def __init__(
        self, value: object, *, names: Collection[str] = NAMES, url_paths: Collection[str] = frozenset()
    ) -> None:
        """Compile every string in ``value``, at any depth.

        ``url_paths`` are the keys of ``value`` that hold a URL's path: what an expression puts into one is one part of
        it, percent-encoded. A path that is one whole expression is taken as it stands.

        Raises:
            ExpressionError: a string is not a template, or uses a name that is not in ``names``.
        """
        self._render = _compile(value, names, (), url_paths)

    def render(self, scope: Scope) -> Any:
        """Return the value with every expression replaced; raises `ExpressionError` as `Expression.evaluate`."""
        return self._render(scope)


def has_expression(value: object) -> bool:
    """Return whether ``value`` is a string with an expression or statement in it."""
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def referenced_names(source: str) -> set[str]:
    """Return the top-level names that a template string uses, such as ``{"body"}``.

    Raises:
        ExpressionError: it is not a template.
    """
    return meta.find_undeclared_variables(_parse(source, source))


def _parse(template: str, shown: str) -> nodes.Template:
    if len(template) > SOURCE_CHARS_MAX:
        raise ExpressionError(f"{_shown(shown)}: longer than {SOURCE_CHARS_MAX} characters")
    try:
        return _ENVIRONMENT.parse(template)
    except _UNCOMPILABLE as error:
        raise ExpressionError(f"{_shown(shown)}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError | MemoryError):
        return "nested too deeply"
    text = str(error)
    if "got '='" in text:
        return "a comparison is written with '=='"
    if "chunk after expression" in text or "end of print statement" in text:
        return "something follows the end of the expression"
    return text


def _check(template: str, shown: str, names: Collection[str]) -> nodes.Template:
    parsed = _parse(template, shown)
    unknown = sorted(meta.find_undeclared_variables(parsed) - set(names))
    if unknown:
        raise ExpressionError(f"{_shown(shown)}: {unknown[0]!r} is undefined (in scope: {', '.join(sorted(names))})")
    return parsed


def _whole(source: str) -> str | None:
    """Return what is between the braces if the template is one whole expression."""
    source = source.strip()
    match _parse(source, source).body:
        case [nodes.Output(nodes=[node])] if not isinstance(node, nodes.TemplateData) and source.startswith("{{"):
            inner = source.removeprefix("{{").removesuffix("}}")
            return inner.removeprefix("-").removeprefix("+").removesuffix("-").strip()
    return None


def _compile_expression(source: str, names: Collection[str]) -> Callable[[Scope], object]:
    template = f"{{{{ {source} }}}}"
    match _parse(template, source).body:
        case [nodes.Output(nodes=[node])]:
            path = _path(node, names)
            if path is not None:
                return lambda scope: _json_like(path(scope), whole=True)
    try:
        call = _ENVIRONMENT.compile_expression(source, undefined_to_none=False)
    except _UNCOMPILABLE as error:
        raise ExpressionError(f"{_shown(source)}: {_reason(error)}") from error
    _check(template, source, names)
    return lambda scope: _json_like(call(**scope, **{BUDGET: Budget()}))


def _path(node: nodes.Node, names: Collection[str]) -> Callable[[Scope], object] | None:
    """Return the evaluation of what only picks a part of the event, such as ``body.a["b"][0]``; ``None`` for others.

    Most expressions are such, and this takes a tenth of the time of Jinja2's own code, with the same results.
    """
    steps: list[tuple[Callable[[Any, Any], Any], Any]] = []
    while isinstance(node, nodes.Getattr | nodes.Getitem):
        if isinstance(node, nodes.Getattr):
            steps.append((_ENVIRONMENT.getattr, node.attr))
        elif isinstance(node.arg, nodes.Const):
            steps.append((_ENVIRONMENT.getitem, node.arg.value))
        else:
            return None
        node = node.node
    if not isinstance(node, nodes.Name) or node.name not in names:
        return None
    root, steps = node.name, steps[::-1]

    def pick(scope: Scope) -> object:
        value: object = scope[root]
        for step, key in steps:
            value = step(value, key)
        return value

    return pick


def _compile(
    value: object, names: Collection[str], place: tuple[str, ...], url_paths: Collection[str]
) -> Callable[[Scope], object]:
    if isinstance(value, Mapping):
        # Keys are taken as they stand: only values are templates.
        fields = {str(key): _compile(item, names, (*place, str(key)), url_paths) for key, item in value.items()}
        return lambda scope: {key: render(scope) for key, render in fields.items()}
    if isinstance(value, list | tuple):
        items = [_compile(item, names, (*place, str(index)), url_paths) for index, item in enumerate(value)]
        return lambda scope: [render(scope) for render in items]
    if not isinstance(value, str) or not has_expression(value):
        return lambda scope: value
    url_path = len(place) == 1 and place[0] in url_paths
    return _compile_text(value, names, f"parameter {'.'.join(place)}" if place else "", url_path)


def _compile_text(source: str, names: Collection[str], place: str, url_path: bool) -> Callable[[Scope], object]:
    if _whole(source) is not None:
        return Expression(source, names=names, place=place).evaluate
    join = _joined_paths(_parse(source, source), names, in_url_path if url_path else str)
    if join is None:
        _check(source, source, names)
        try:
            template = (_URL_PATH if url_path else _ENVIRONMENT).from_string(source)
        except _UNCOMPILABLE as error:
            raise ExpressionError(f"{_shown(source)}: {_reason(error)}") from error

        def join(scope: Scope) -> str:
            context = template.new_context({**scope, BUDGET: Budget()})
            return _concatenated(template.root_render_func(context))

    return lambda scope: _guard(source, join, scope, place)


def _joined_paths(
    template: nodes.Template, names: Collection[str], shown: Callable[[object], str]
) -> Callable[[Scope], str] | None:
    """Return the rendering of text that holds only paths (`_path`), or ``None``; ``shown`` is a value as text."""
    match template.body:
        case [nodes.Output(nodes=found)]:
            parts: list[str | Callable[[Scope], object]] = []
            for node in found:
                part = node.data if isinstance(node, nodes.TemplateData) else _path(node, names)
                if part is None:
                    return None
                parts.append(part)
            return lambda scope: _concatenated(part if isinstance(part, str) else shown(part(scope)) for part in parts)
    return None


def _concatenated(pieces: Iterable[str]) -> str:
    """Return the pieces as one text, never holding much more than the longest that is allowed."""
    held: list[str] = []
    chars = 0
    for piece in pieces:
        chars += len(piece)
        if chars > CHARS_MAX:
            raise SecurityError(f"the result is longer than {CHARS_MAX} characters")
        held.append(piece)
    return "".join(held)


def _json_like(value: object, *, whole: bool = False) -> object:
    """Return ``value`` as JSON-like; ``whole`` says that it is a part of the event as it stands."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        if not isfinite(value):
            raise ValueError("the number is not finite, and JSON has no such numbers")
        return value
    if isinstance(value, str):
        return str(value)  # the filter tojson gives a subclass
    if isinstance(value, Undefined):
        str(value)  # says which name is missing
    if isinstance(value, Mapping):
        return value if whole else {str(key): _json_like(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset | Iterator):
        return value if whole else [_json_like(item) for item in value]
    raise TypeError(f"the value is a {type(value).__name__}, not JSON")


_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"", re.DOTALL)
_TYPES = frozenset({"bool", "bytes", "dict", "float", "int", "list", "None", "NoneType", "str", "tuple"})


def _guard(source: str, call: Callable[[Scope], T], scope: Scope, place: str) -> T:
    """Run event-dependent code: whatever it raises is the expression's error, since the operator wrote it."""
    try:
        return call(scope)
    except Exception as error:
        start = f"{place}: {_shown(source)}" if place else _shown(source)
        denied = "not allowed: " if isinstance(error, SecurityError) else ""
        raise ExpressionError(f"{start}: {denied}{_masked(source, error)}") from error


def _masked(source: str, error: Exception) -> str:
    """Return the error's text without what comes from the event: it goes into logs and headers, which hold no bodies.

    Jinja and Python quote what they stumbled over. A quotation stays if it is a type's name or in the expression.
    """

    def masked(quoted: re.Match[str]) -> str:
        text = quoted[1] if quoted[1] is not None else quoted[2]
        known = text in source or text in _TYPES or text.endswith(" object")
        return quoted[0] if known else "'…'"

    text = in_plain_words(_QUOTED.sub(masked, str(error)))
    return text if len(text) <= REASON_CHARS_MAX else text[:REASON_CHARS_MAX] + "…"


def _shown(source: str) -> str:
    return repr(source if len(source) <= SHOWN_CHARS_MAX else source[:SHOWN_CHARS_MAX] + "…")
