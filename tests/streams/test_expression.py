"""Expressions read the event and nothing else, keep types, and fail in one way."""

from __future__ import annotations

import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.expression import Expression, ExpressionError, Template, has_expression, referenced_names

SCOPE = {
    "body": {"id": 7, "name": "Ada", "items": [{"sku": "a"}, {"sku": "b"}], "n": 10**10, "nothing": None, "flag": True},
    "event": {
        "id": "e1",
        "source": "orders",
        "type": "created",
        "time": "2026-01-02T03:04:05.678Z",
        "receipt": "o/0/1",
    },
    "headers": {"x-kind": "push"},
}
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def render(value: object) -> object:
    return Template(value).render(SCOPE)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ body.id }}", 7),
        ("  {{ body.id }} ", 7),
        ("{{- body.id -}}", 7),
        ("{{ body.flag }}", True),
        ("{{ body.nothing }}", None),
        ("{{ body.id }}{{ body.id }}", "77"),
        ("order {{ body.id }}", "order 7"),
        ("kept newline {{ body.id }}\n", "kept newline 7\n"),
        ("{{ {'a': {'b': body.id}} }}", {"a": {"b": 7}}),
        ("{{ body['items'][1].sku }}", "b"),
        ("{{ body.items | map(attribute='sku') }}", ["a", "b"]),
        ("{{ body.items | map(attribute='sku') | join('+') }}", "a+b"),
        ("{{ (1, 2) }}", [1, 2]),
        ("{{ headers['x-kind'] }}", "push"),
        ("{{ body.missing | default('none') }}", "none"),
        ("{{ -body.id * 2 }}", -14),
        ("{{ body.values | default('none') }}", "none"),
        ("{{ body.values is defined or body['values'] is defined }}", False),
        ("{{ [body] | selectattr('values', 'defined') | list }}", []),
        ("{{ [[1].count(1), {'items': 2}.items() | length, {'a': 3}.get('a')] }}", [1, 1, 3]),
        ("{% for item in body.items %}{{ item.sku.upper() }}{{ item.get('sku') }}{% endfor %}", "AaBb"),
        ("{% for n in [1, 2] %}{{ loop.index }}{{ loop.cycle('a', 'b') }}{% endfor %}", "1a2b"),
        ("{% if body.flag %}yes{% endif %}", "yes"),
        ("{{ '{{' }}", "{{"),
        ("plain }} text", "plain }} text"),
        (12, 12),
        (None, None),
    ],
)
def test_a_template_renders(template: object, expected: object) -> None:
    assert render(template) == expected


def in_path(template: str, **body: object) -> object:
    rendered = Template({"path": template, "json": {"path": template}}, url_paths={"path"}).render({"body": body})
    assert rendered["json"]["path"] == Template(template).render({"body": body})  # a path at that place alone
    return rendered["path"]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("/orders/{{ body.id }}/lines/{{ body.line }}", "/orders/a%2F..%3Fb/lines/7"),
        ("/orders/{{ body.id | urlencode }}", "/orders/a%2F..%3Fb"),
        ("/orders/{{ body.id | upper }}", "/orders/A%2F..%3FB"),
        ("/orders/{% if body.line %}{{ body.id }}{% endif %}", "/orders/a%2F..%3Fb"),
        ("{% for part in body.parts %}/{{ part }}{% endfor %}", "/a/b%2Fc"),
        ("{{ '/v1/' ~ body.id }}", "/v1/a/..?b"),  # one whole expression: the operator's own path
        ("/plain", "/plain"),
    ],
)
def test_a_value_is_one_part_of_a_path(template: str, expected: str) -> None:
    assert in_path(template, id="a/..?b", line=7, parts=["a", "b/c"]) == expected


@pytest.mark.parametrize("expression", ["body.id", "body.id | default(none)", "body.missing"])
@pytest.mark.parametrize("value", [None, "", ["a"], {"a": 1}])
def test_a_path_never_loses_a_part(expression: str, value: object) -> None:
    template = Template({"path": f"/orders/{{{{ {expression} }}}}"}, url_paths={"path"})
    with pytest.raises(ExpressionError, match=r"parameter path: '/orders/\{\{ .*(part of a path|there is no field)"):
        template.render({"body": {"id": value}})


def test_a_field_of_the_event_wins_over_a_method_of_the_same_name() -> None:
    assert render("{{ body.items }}") == SCOPE["body"]["items"]


@pytest.mark.parametrize(
    "template",
    [
        "{{ body.missing }}",
        "{{ body.missing.deeper }}",
        "{{ [body.missing] }}",
        "{{ body.keys }}",
        "{{ body.values | default(body.keys) }}",
        "a {{ body.values }}",
        "a {{ body['values'] }}",
        "{{ body.values ~ 'x' }}",
        "{% if body.values %}yes{% endif %}",
        "{{ [body] | map(attribute='values') | join }}",
        "{{ body.values | length }}",
        "{{ body.name + 1 }}",
        "{{ body.name * body.n }}",
        "{{ [1] * body.n }}",
        "{{ '%10000000000d' % body.id }}",
        "{{ body.n ** body.n }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ body.__class__ }}",
        "{{ body.items.append(1) }}",
        "{{ body.name.format.__globals__ }}",
        "{{ 'nan' | float }}",
        "{{ '1e999' | float }}",
        "{{ {'n': ['-inf' | float]} }}",
    ],
)
def test_what_cannot_be_rendered_is_one_kind_of_error_and_quick(template: str) -> None:
    begun_s = time.thread_time()
    with pytest.raises(ExpressionError):
        render(template)
    assert time.thread_time() - begun_s < 1


@pytest.mark.parametrize(
    "template",
    [
        "{{ foo }}",
        "{{ body. }}",
        "{{",
        "{{ {{ }}",
        "{% for %}",
        "{{ range(3) }}",
        "{{ cycler }}",
        "{{ body.a | rot13 }}",
    ],
)
def test_what_cannot_be_compiled_is_found_before_any_event(template: str) -> None:
    with pytest.raises(ExpressionError):
        Template({"deep": [template]})


@pytest.mark.parametrize("source", ["", "   ", "body.id = 7", "body.id ==", "a }} b {{", "(" * 5000, "{{ }}", "{{}}"])
def test_a_condition_that_is_no_expression_is_refused(source: str) -> None:
    with pytest.raises(ExpressionError):
        Expression(source)


def test_a_forgotten_equals_sign_is_explained() -> None:
    with pytest.raises(ExpressionError, match="=="):
        Expression("body.id = 7")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("body.id == 7", True),
        ("{{ body.id == 7 }}", True),
        ("body.id > 7", False),
        ("body.missing is defined", False),
        ("body.name in ['Ada', 'Bob'] and event.source == 'orders'", True),
        ("body.nothing", False),
    ],
)
def test_a_condition_holds_or_not(source: str, expected: bool) -> None:
    assert Expression(source).holds(SCOPE) is expected


def test_a_condition_on_a_missing_field_is_an_error_that_names_it() -> None:
    with pytest.raises(ExpressionError, match="missing"):
        Expression("body.missing == 1").holds(SCOPE)


def test_names_can_be_narrowed() -> None:
    Expression("body.id", names={"body"})
    with pytest.raises(ExpressionError, match="event"):
        Expression("event.id", names={"body"})


def test_an_event_cannot_change_what_later_expressions_see() -> None:
    with pytest.raises(ExpressionError):
        render("{{ body.update({'id': 8}) }}")
    assert render("{{ body.id }}") == 7


@given(json_values)
def test_a_whole_expression_gives_any_json_value_back_unchanged(value: object) -> None:
    rendered = Template({"x": ["{{ body }}"]}).render({**SCOPE, "body": value})
    assert rendered == {"x": [value]}
    assert orjson.loads(orjson.dumps(rendered)) == {"x": [value]}


@given(json_values.filter(lambda value: not _has_any_expression(value)))
def test_values_without_expressions_are_rendered_as_they_stand(value: object) -> None:
    assert Template(value).render(SCOPE) == value


@given(st.text())
def test_any_text_compiles_or_is_an_expression_error(text: str) -> None:
    for kind in (Expression, Template):
        try:
            compiled = kind("{{" + text)
        except ExpressionError:
            continue
        try:
            compiled.evaluate(SCOPE) if isinstance(compiled, Expression) else compiled.render(SCOPE)
        except ExpressionError:
            continue


@given(json_values, st.sampled_from(["body", "body.a", "body['a'].b", "body[0]", "body.items", "body[1]['x']"]))
def test_picking_a_part_gives_what_jinja_gives(value: object, path: str) -> None:
    scope = {**SCOPE, "body": value}

    def outcome(expression: str) -> object:
        try:
            return Expression(expression).evaluate(scope)
        except ExpressionError:
            return ExpressionError

    assert outcome(path) == outcome(f"({path}) if true")


def test_names_of_a_template() -> None:
    assert referenced_names("{{ body.a }} and {{ event.id }}") == {"body", "event"}
    assert not has_expression("no { braces }")


def _has_any_expression(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_has_any_expression, value.values()))
    if isinstance(value, list):
        return any(map(_has_any_expression, value))
    return has_expression(value)


@pytest.mark.parametrize("source", ["{'a': 1}[body.m]", "body[body.m]", "body.m + 1", "body.list[body.m]"])
def test_an_error_never_quotes_the_event(source: str) -> None:
    for marker in ("MARKER", "it's MARKER", 'MARKER"', "a\nMARKER"):
        with pytest.raises(ExpressionError) as raised:
            Expression(source).evaluate({"body": {"m": marker, "list": []}, "event": {}, "headers": {}})
        assert "MARKER" not in str(raised.value)


def test_an_error_is_short_whatever_the_event_holds() -> None:
    with pytest.raises(ExpressionError) as raised:
        Expression("{'a': 1}[body.m]").evaluate({**SCOPE, "body": {"m": list(range(100_000))}})
    assert len(str(raised.value)) < 500
