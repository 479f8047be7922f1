"""The filters of expressions: those of Jinja2 that are of use for a mapping, bounded, and Headrace's own.

A filter is listed here, or does not exist. Each gets the rendering's `Budget` put before it: what it looks at is
counted, and what it makes is bounded, before it is made where that can be told. docs/reference/expressions.md shows
every one of them; its examples are executed by the tests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from jinja2 import Undefined, pass_context
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS, make_attrgetter
from jinja2.runtime import Context
from jinja2.utils import _PassArg

from streams import moments, money, transcoding
from streams.budget import CHARS_MAX, Budget, steps_of

NUMBER_WIDTH_MAX = 1000  # of a column, a line, a group
SHORT_CHARS_MAX = 64 * 1024  # for filters that look at each character in Python, or by a regular expression
PARTS_MAX = 250_000  # of a text that is split
INT_CHARS_MAX = 4300  # as Python's own bound for decimal numbers
PRECISION_MAX = 100
SPECIFIERS_MAX = 100
_SPECIFIER = re.compile(r"%(?:\([^)%]{0,100}\))?[-#0 +]{0,5}([0-9]{0,3})(?:\.([0-9]{0,3}))?([a-zA-Z%])", re.ASCII)

# fmt: off
JINJA = (
    "abs", "batch", "capitalize", "center", "count", "d", "default", "dictsort", "e",
    "escape", "filesizeformat", "first", "float", "groupby", "indent", "int", "items", "last",
    "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "replace",
    "reverse", "round", "safe", "select", "selectattr", "slice", "sort", "string", "striptags",
    "sum", "title", "trim", "truncate", "unique", "upper", "wordcount", "wordwrap",
)
# fmt: on
OWN: Mapping[str, Callable[..., Any]] = {
    "add_time": moments.add_time,
    "base64": transcoding.to_base64,
    "base64_decode": transcoding.from_base64,
    "format_time": moments.format_moment,
    "from_minor_units": money.from_minor_units,
    "fromjson": transcoding.from_json,
    "iso": moments.iso,
    "json": transcoding.to_json,
    "md5": transcoding.md5,
    "money": money.money,
    "parse_time": moments.parse_moment,
    "sha1": transcoding.sha1,
    "sha256": transcoding.sha256,
    "sha512": transcoding.sha512,
    "slug": transcoding.slug,
    "to_minor_units": money.to_minor_units,
    "unix": moments.unix,
    "unix_ms": moments.unix_ms,
    "urlencode": transcoding.to_url_part,
}
_SHORT = frozenset(
    ("capitalize", "format", "indent", "slug", "striptags", "title", "truncate", "wordcount", "wordwrap")
)
_QUICK = frozenset(("count", "d", "default", "first", "last", "length"))  # they look at one item, or none
_WIDTHS = frozenset(("batch", "center", "indent", "slice", "truncate", "wordwrap"))


def expression_filters(budget_name: str) -> dict[str, Callable[..., Any]]:
    """Return every filter by its name. Each finds its `Budget` in the context, under ``budget_name``."""
    plain = {**{name: FILTERS[name] for name in JINJA}, **OWN, "tojson": transcoding.to_json_for_html}
    bounded = {name: _bounded(name, function, budget_name) for name, function in plain.items()}
    return {**bounded, "join": _join(budget_name), "format": _format(budget_name)}


def _bounded(name: str, function: Callable[..., Any], budget_name: str) -> Callable[..., Any]:
    pass_arg = _PassArg.from_obj(function)

    @pass_context
    def filter_(context: Context, value: object, *args: Any, **kwargs: Any) -> object:
        budget: Budget = context.parent[budget_name]
        _check(name, budget, value, args, kwargs)
        match pass_arg:
            case _PassArg.context:
                made = function(context, value, *args, **kwargs)
            case _PassArg.eval_context:
                made = function(context.eval_ctx, value, *args, **kwargs)
            case _PassArg.environment:
                made = function(context.environment, value, *args, **kwargs)
            case _:
                if isinstance(value, Undefined) and name in OWN:
                    str(value)  # says which name is missing
                made = function(value, *args, **kwargs)
        return budget.result(made)

    return filter_


def _check(name: str, budget: Budget, value: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Refuse what would make too much of ``value``, before it is made."""
    budget.spend(1 if name in _QUICK else steps_of(value))
    if isinstance(value, str):
        if name in _SHORT and len(value) > SHORT_CHARS_MAX:
            raise SecurityError(f"{name} takes a text of at most {SHORT_CHARS_MAX} characters")
        if name == "int" and len(value) > INT_CHARS_MAX:
            raise SecurityError(f"int takes a text of at most {INT_CHARS_MAX} characters")
        if name == "replace":
            check_replacement(budget, value, *args, **kwargs)
        if name == "list":
            budget.spend(len(value))
        if name == "indent" and isinstance(width := kwargs.get("width", args[0] if args else 4), int):
            budget.chars(len(value) + abs(width) * (value.count("\n") + 1))
    if name in _WIDTHS:
        for given in (*args, *kwargs.values()):
            _check_width(name, given)
    if name == "round" and any(isinstance(n, int) and abs(n) > PRECISION_MAX for n in (*args, *kwargs.values())):
        raise SecurityError(f"round takes a precision of at most {PRECISION_MAX}")
    if name in ("string", "json", "tojson"):
        budget.measured(value)
    if name == "sum" and not isinstance(kwargs.get("start", args[1] if len(args) > 1 else 0), int | float):
        raise SecurityError("sum adds numbers alone")


def _check_width(name: str, given: object) -> None:
    if isinstance(given, int) and abs(given) > NUMBER_WIDTH_MAX:
        raise SecurityError(f"{name} takes a number of at most {NUMBER_WIDTH_MAX}")
    if isinstance(given, str) and len(given) > NUMBER_WIDTH_MAX and name != "batch":
        raise SecurityError(f"{name} takes a text of at most {NUMBER_WIDTH_MAX} characters")


def check_replacement(budget: Budget, text: str, old: object = "", new: object = "", count: object = None) -> None:
    """Refuse a replacement that would make too long a text."""
    if isinstance(old, str) and isinstance(new, str):
        found = text.count(old) if old else len(text) + 1
        budget.chars(len(text) + found * max(0, len(new) - len(old)))


def check_split(budget: Budget, text: str, separator: object) -> None:
    """Refuse to split a text into too many parts."""
    parts = text.count(separator) if isinstance(separator, str) and separator else len(text) // 2
    if parts > PARTS_MAX:
        raise SecurityError(f"a text is split into at most {PARTS_MAX} parts")
    budget.spend(parts)


def joined(budget: Budget, values: Iterable[object], separator: str) -> str:
    """Return the texts of ``values`` with ``separator`` between them; bounded while it grows."""
    texts: list[str] = []
    chars = 0
    for value in values:
        text = value if isinstance(value, str) else budget.text(value)
        chars += len(text) + len(separator)
        if chars > CHARS_MAX:
            budget.chars(chars)
        budget.spend(1)
        texts.append(text)
    budget.chars(chars)
    return separator.join(texts)


def _join(budget_name: str) -> Callable[..., str]:
    @pass_context
    def join(context: Context, value: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
        budget: Budget = context.parent[budget_name]
        pick = make_attrgetter(context.environment, attribute) if attribute is not None else None
        return joined(budget, map(pick, value) if pick else value, str(d))

    return join


def _format(budget_name: str) -> Callable[..., str]:
    @pass_context
    def format_(context: Context, value: str, *args: Any, **kwargs: Any) -> str:
        budget: Budget = context.parent[budget_name]
        _check("format", budget, value, args, kwargs)
        widths, specifiers = [0], 0
        for position in _percents(value):
            found = _SPECIFIER.match(value, position)
            if found is None:
                raise SecurityError("format knows widths of at most 999, written out")
            widths += [int(found[1] or 0), int(found[2] or 0)]
            specifiers += 1
        if specifiers > SPECIFIERS_MAX:
            raise SecurityError(f"format takes at most {SPECIFIERS_MAX} values")
        given = (*args, *kwargs.values())
        if not all(isinstance(one, str | int | float) for one in given):
            raise SecurityError("format takes texts and numbers")
        longest = max((len(one) if isinstance(one, str) else INT_CHARS_MAX for one in given), default=0)
        budget.chars(len(value) + specifiers * max(longest, *widths))
        return value % (kwargs or args)

    return format_


def _percents(text: str) -> Iterator[int]:
    """Yield where a specifier begins; ``%%`` is one."""
    position = text.find("%")
    while position >= 0:
        yield position
        position = text.find("%", position + (2 if text[position : position + 2] == "%%" else 1))
