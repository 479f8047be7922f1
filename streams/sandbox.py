"""The Jinja2 sandbox of expressions: what an event must not be able to do to a worker.

Three things make it so. The language is a part of Jinja2: no macros, blocks, includes or recursion, the filters of
`streams.filters` and the methods of `METHODS` alone. What can grow (``+``, ``~``, ``*``, ``**``, a list written out, a
loop) goes through `Budget`, put there by rewriting the parsed template before its code is generated. And nothing is
evaluated when it is compiled, so that `headrace check` ends too.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import BuiltinMethodType, MethodType
from typing import Any, cast

from jinja2 import StrictUndefined, TemplateSyntaxError, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from streams.budget import Budget, steps_of
from streams.filters import NUMBER_WIDTH_MAX, check_replacement, check_split, expression_filters, joined
from streams.transcoding import in_url_path

NUMBER_BITS_MAX = 4096
CALLED = "()"  # behind an attribute's name: none that an expression can write
BUDGET = "budget!"  # the name in the context: none that an expression can write
_ITERATED, _JOINED, _MEASURED = "iterated!", "joined!", "measured!"

# fmt: off
_TEXT_METHODS = (
    "capitalize", "casefold", "center", "count", "endswith", "find", "index", "isalnum",
    "isalpha", "isascii", "isdecimal", "isdigit", "islower", "isnumeric", "isspace", "isupper",
    "join", "ljust", "lower", "lstrip", "partition", "removeprefix", "removesuffix", "replace",
    "rfind", "rindex", "rjust", "rpartition", "rsplit", "rstrip", "split", "splitlines",
    "startswith", "strip", "swapcase", "title", "upper", "zfill",
)
# fmt: on
METHODS: Mapping[type, frozenset[str]] = {
    str: frozenset(_TEXT_METHODS),
    dict: frozenset(("get", "items", "keys", "values")),
    list: frozenset(("count", "index")),
    LoopContext: frozenset(("changed", "cycle")),
}
_OF_LOOPS = frozenset(("_loop_vars", "_block_vars"))  # within a loop, Jinja2 passes them to what is called
_PADDING = frozenset(("center", "ljust", "rjust", "zfill"))
_SPLITTING = frozenset(("rsplit", "split", "splitlines"))

_STATEMENTS = (nodes.Template, nodes.Output, nodes.TemplateData, nodes.For, nodes.If, nodes.Assign, nodes.With)
_EXPRESSIONS = (nodes.Expr, nodes.Helper)
_REFUSED = (
    nodes.NSRef,
    nodes.EnvironmentAttribute,
    nodes.ExtensionAttribute,
    nodes.ImportedName,
    nodes.ContextReference,
    nodes.DerivedContextReference,
)  # `namespace`, and what only Jinja2's extensions make


class Sandbox(ImmutableSandboxedEnvironment):
    """The sandbox, in which ``body.items`` is a field, or undefined, and a method of ``dict`` only where it is called.

    To Jinja2 it is the method where there is no such field: defined, true, and text such as ``<built-in method …>``.
    """

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return the field, else the attribute if it is safe, else undefined; a method if it is about to be called."""
        if attribute.endswith(CALLED):
            return super().getattr(obj, attribute.removesuffix(CALLED))
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return self._but_methods(super().getattr(obj, attribute), obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return the item, else the attribute of that name as `getattr` does."""
        return self._but_methods(super().getitem(obj, argument), obj, argument)

    def _but_methods(self, found: Any, obj: Any, name: Any) -> Any:
        return self.undefined(obj=obj, name=name) if isinstance(found, BuiltinMethodType | MethodType) else found

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Return the result of an intercepted operator.

        Raises:
            SecurityError: the operands are not numbers where they must be, or the result is too large.
        """
        budget: Budget = context.parent[BUDGET]
        if operator == "+":
            if isinstance(left, str) and isinstance(right, str):
                budget.chars(len(left) + len(right))
            elif isinstance(left, list | tuple):
                return budget.measured(left + right)
            return left + right
        budget.spend(1)
        if isinstance(left, str | bytes | list | tuple) or isinstance(right, str | bytes | list | tuple):
            raise SecurityError(f"{operator!r} works on numbers alone")
        if operator == "**" and (abs(right) > NUMBER_BITS_MAX or _bits(left) * abs(right) > NUMBER_BITS_MAX):
            raise SecurityError("the power is too large")
        if operator == "*" and _bits(left) + _bits(right) > NUMBER_BITS_MAX:
            raise SecurityError("the product is too large")
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805  as Jinja2 has it
        """Call a method of `METHODS`.

        Raises:
            SecurityError: it is none of these, or its result is too large.
        """
        budget: Budget = __context.parent[BUDGET]
        kwargs = {key: value for key, value in kwargs.items() if key not in _OF_LOOPS}
        owner, name = getattr(__obj, "__self__", None), getattr(__obj, "__name__", "")
        if not any(isinstance(owner, kind) and name in names for kind, names in METHODS.items()):
            raise SecurityError(f"{name or 'this'}() cannot be called in an expression")
        budget.spend(steps_of(owner))
        if isinstance(owner, str):
            if name in _PADDING and (not args or not isinstance(args[0], int) or args[0] > NUMBER_WIDTH_MAX):
                raise SecurityError(f"{name}() takes a width of at most {NUMBER_WIDTH_MAX}")
            if name in _SPLITTING:
                check_split(budget, owner, args[0] if args and name != "splitlines" else kwargs.get("sep"))
            if name == "replace":
                check_replacement(budget, owner, *args)
            if name == "join":
                return joined(budget, args[0], owner)
        return budget.result(__obj(*args, **kwargs))

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        return super()._generate(_Guard().visit(source), *args, **kwargs)


class _Guard(NodeTransformer):
    """Puts the budget where an expression can grow, and refuses what is not part of the language."""

    def visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Any:
        """Return what stands in the node's place."""
        if not isinstance(node, _STATEMENTS + _EXPRESSIONS) or isinstance(node, _REFUSED):
            raise TemplateSyntaxError(f"{type(node).__name__.lower()!r} is not available in expressions", node.lineno)
        return super().visit(node, *args, **kwargs)

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802  the visitor's names
        """Count a loop's turns."""
        if node.recursive:
            raise TemplateSyntaxError("a recursive loop is not available in expressions", node.lineno)
        self.generic_visit(node)
        node.iter = _filtered(cast(nodes.Expr, node.iter), _ITERATED)
        return node

    def visit_Call(self, node: nodes.Call) -> nodes.Call:  # noqa: N802
        """Tell the method that is called from a field of its name."""
        self.generic_visit(node)
        if isinstance(node.node, nodes.Getattr):
            node.node.attr += CALLED
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Expr:  # noqa: N802
        """Bound what ``~`` makes."""
        self.generic_visit(node)
        return _filtered(nodes.List(node.nodes, lineno=node.lineno), _JOINED)

    def visit_List(self, node: nodes.List) -> nodes.Expr:  # noqa: N802
        """Bound a list that is written out."""
        self.generic_visit(node)
        return node if all(isinstance(item, nodes.Const) for item in node.items) else _filtered(node, _MEASURED)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Expr:  # noqa: N802
        """Bound a tuple that is written out; one that is assigned to is none."""
        self.generic_visit(node)
        constant = all(isinstance(item, nodes.Const) for item in node.items)
        return node if constant or node.ctx != "load" else _filtered(node, _MEASURED)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Expr:  # noqa: N802
        """Bound a mapping that is written out."""
        self.generic_visit(node)
        return _filtered(node, _MEASURED)


def _filtered(node: nodes.Expr, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _bits(number: Any) -> int:
    return number.bit_length() if isinstance(number, int) else 1  # a float overflows by itself


@pass_context
def _iterated(context: Context, values: Any) -> Any:
    budget: Budget = context.parent[BUDGET]
    return budget.counted(values)


@pass_context
def _joined(context: Context, values: Any) -> str:
    return joined(context.parent[BUDGET], values, "")


@pass_context
def _measured(context: Context, value: object) -> object:
    budget: Budget = context.parent[BUDGET]
    return budget.measured(value)


@pass_context
def _shown(context: Context, value: object) -> str:
    budget: Budget = context.parent[BUDGET]
    return budget.text(value)


@pass_context
def _shown_in_path(context: Context, value: object) -> str:
    budget: Budget = context.parent[BUDGET]
    return budget.text(in_url_path(value))


def sandbox(*, url_path: bool = False) -> Sandbox:
    """Return an environment in which an expression reads the event and nothing else.

    Whoever renders puts a `Budget` into the context, under the name `BUDGET`. With ``url_path`` the text around the
    expressions is a URL's path, of which each value is one part (`streams.transcoding.in_url_path`).
    """
    environment = Sandbox(
        undefined=StrictUndefined,
        autoescape=False,
        cache_size=0,
        keep_trailing_newline=True,
        extensions=(),
        finalize=_shown_in_path if url_path else _shown,
        optimized=False,
    )
    environment.globals.clear()  # no range(), cycler(), lipsum()
    environment.filters.clear()
    environment.filters.update(expression_filters(BUDGET))
    environment.filters.update({_ITERATED: _iterated, _JOINED: _joined, _MEASURED: _measured})
    return environment
