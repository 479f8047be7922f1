"""Whatever an event holds and a mapping says: it ends soon, in little memory, in one kind of error."""

from __future__ import annotations

import time

import pytest
from jinja2.exceptions import SecurityError

from streams.budget import CHARS_MAX, Budget
from streams.expression import Expression, ExpressionError, Template

BIG = "x" * 1_000_000
SCOPE = {
    "body": {
        "n": 10**9,
        "big": BIG,
        "list": list(range(5000)),
        "lines": "\n" * 60_000,
        "a": "a" * 50_000 + "!",
        "tags": "<" * 60_000,
        "digits": "9" * 1_000_000,
        "float": 1e308,
    },
    "event": {"id": "1"},
    "headers": {},
}
DOUBLED_TEXT = "{% set a = body.big %}" + "{% set a = a ~ a %}" * 40 + "{{ a }}"
ADDED_TEXT = "{% set a = body.big %}" + "{% set a = a + a %}" * 40 + "{{ a }}"
DOUBLED_LIST = "{% set a = [1, body.n] %}" + "{% set a = [a, a] %}" * 60
ADDED_LIST = "{% set a = [1] %}" + "{% set a = a + a %}" * 60 + "{{ a }}"
DOUBLED_MAPPING = "{% set a = {'n': body.n} %}" + "{% set a = {'a': a, 'b': a} %}" * 60
SQUARED = "{% set a = body.n %}" + "{% set a = a * a %}" * 60 + "{{ a }}"

BOMBS = [
    "{{ 'x' * 10**9 }}",
    "{{ body.big * body.n }}",
    "{{ [1] * body.n }}",
    "{{ 10 ** (10 ** 8) }}",
    "{{ 9 ** (9 ** (9 ** 9)) }}",
    "{{ body.n ** body.n }}",
    "{{ (-body.n) ** body.n }}",
    "{{ range(10**9) | list }}",
    "{{ '%1000000000d' % body.n }}",
    "{{ '%1000000000d' | format(1) }}",
    "{{ '%.1000000000f' | format(1.0) }}",
    "{{ '%*d' | format(10**9, 1) }}",
    "{{ ('%s' * 5) | format(1) }}",
    "{{ '%s%s%s%s%s%s%s%s%s' | format(body.big, body.big, body.big, 1, 1, 1, 1, 1, 1) }}",
    "{{ '{:1000000000}'.format(1) }}",
    "{{ '{0.__class__}'.format(body) }}",
    "{{ 'x'.center(10**9) }}",
    "{{ 'x'.ljust(body.n) }}",
    "{{ 'x'.zfill(body.n) }}",
    "{{ 'x'.join(body.list | map('string') | list).join(body.list | map('string')) .join(body.big) }}",
    "{{ body.big.replace('', body.big) }}",
    "{{ body.big.replace('x', body.big) }}",
    "{{ body.big | replace('x', body.big) }}",
    "{{ body.big | replace('', body.big, 10) }}",
    "{{ body.big.split('x') | length }}",
    "{{ body.big | center(10**9) }}",
    "{{ 'x' | center(width=body.n) }}",
    "{{ body.lines | indent(body.n) }}",
    "{{ body.lines | indent(1000, true, true) }}",
    "{{ body.lines | indent(body.big) }}",
    "{{ body.list | batch(body.n, 'x') | list }}",
    "{{ body.list | slice(body.n) | list }}",
    "{{ 1 | round(-body.n) }}",
    "{{ 5.5 | round(body.n, 'ceil') }}",
    "{{ 1 | tojson(indent=body.n) }}",
    "{{ body.list | map('string') | join(body.big) }}",
    "{{ [body.big, body.big, body.big] | join(body.big) | join(body.big) }}",
    "{{ body.digits | int }}",
    "{{ body.digits | int(0, 16) }}",
    "{{ [[1]] | sum(start=[]) }}",
    "{{ body.float | string | to_minor_units('EUR') }}",
    "{{ '1e999999999' | money('EUR') }}",
    "{{ '9e999999' | to_minor_units('EUR') }}",
    "{{ body.n | format_time('%1000000000d') }}",
    "{{ body.n | format_time('%-d') }}",
    "{{ body.n | add_time(days=10**30) }}",
    "{{ body.n | iso('../../etc/passwd') }}",
    "{{ body.big | iso }}",
    "{{ body.big | parse_time('%Y') }}",
    "{% for a in body.list %}{% for b in body.list %}{% for c in body.list %}{% endfor %}{% endfor %}{% endfor %}",
    "{% for a in body.list %}{% for b in body.list %}{{ b }}{% endfor %}{% endfor %}",
    "{% for a in body.list %}{{ body.big }}{% endfor %}",
    "{% for a in body.list %}{% if body.big in body.big %}{% endif %}{{ body.big | upper }}{% endfor %}",
    "{% for a in body.big %}{% for b in body.big %}{% endfor %}{% endfor %}",
    "{{ body.big | map('upper') | map('list') | list }}{{ body.big | list | map('center', 1000) | join }}",
    "{% macro f(x) %}{{ f(x) }}{{ f(x) }}{% endmacro %}{{ f(1) }}",
    "{% for a in body.list recursive %}{{ loop(body.list) }}{% endfor %}",
    "{% set a %}{{ body.big }}{% endset %}{{ a }}",
    "{% filter upper %}{{ body.big }}{% endfilter %}",
    "{% include 'x' %}",
    "{% import 'x' as y %}",
    "{% extends 'x' %}",
    "{% block a %}{% endblock %}",
    "{% call f() %}{% endcall %}",
    "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "{{ " + "-" * 5000 + "1 }}",
    "{{ " + "[" * 500 + "]" * 500 + " }}",
    "{{ " + " ~ ".join(["body.big"] * 4000) + " }}",
    "{{ " + "body.big " * 70_000 + " }}",
    "{{ body.big }}" * 1000,
    DOUBLED_TEXT,
    ADDED_TEXT,
    DOUBLED_LIST + "{{ a }}",
    DOUBLED_LIST + "{{ a | json }}",
    DOUBLED_LIST + "{% set b = a %}{{ a == [b] }}",
    ADDED_LIST,
    DOUBLED_MAPPING + "{{ a }}",
    SQUARED,
]


@pytest.mark.parametrize("template", BOMBS, ids=range(len(BOMBS)))
def test_a_bomb_is_an_error_and_ends_soon(template: str) -> None:
    begun_s = time.thread_time()
    with pytest.raises(ExpressionError) as raised:
        Template({"x": template}).render(SCOPE)
    # Several times what the budget gives, for compiling and for the last operation before it is looked at.
    assert time.thread_time() - begun_s < 3
    assert len(str(raised.value)) < 1000


@pytest.mark.parametrize(
    "template",
    [
        "{{ body.list | map('string') | join(',') }}",
        "{% for a in body.list %}{{ a }} of {{ body.list | length }}, {% endfor %}",
        "{{ body.big | upper | lower | trim | length }}",
        "{{ body.list | sort(reverse=true) | batch(10) | map('sum') | list }}",
        "{{ (body.big ~ body.big) | length }}",
        "{{ [body.big, body.list] | json | length }}",
        "{{ body.n * body.n }}",
        "{{ 2 ** 64 }}",
    ],
)
def test_honest_work_on_a_large_event_is_done(template: str) -> None:
    assert Template({"x": template}).render(SCOPE)["x"]


@pytest.mark.parametrize("source", ["'x' * 10**9", "10**(10**8)", "'x' | center(10**9)", "[[1] * 10**9]"])
def test_compiling_evaluates_nothing(source: str) -> None:
    begun_s = time.thread_time()
    Expression(source)
    assert time.thread_time() - begun_s < 1


def test_the_longest_text_passes_and_one_more_character_does_not() -> None:
    scope = {**SCOPE, "body": {"x": "x" * (CHARS_MAX - 1)}}
    assert len(Template("{{ body.x ~ 'y' }}").render(scope)) == CHARS_MAX
    for longer in (
        "{{ body.x ~ 'yz' }}",
        "{{ body.x }}yz",
        "{{ body.x + 'yz' }}",
        "{% if true %}{{ body.x }}yz{% endif %}",
    ):
        with pytest.raises(ExpressionError, match="longer than"):
            Template(longer).render(scope)


def test_the_processor_time_is_the_backstop() -> None:
    elapsed_s = iter(range(100))
    budget = Budget(cpu_s=lambda: next(elapsed_s))
    with pytest.raises(SecurityError, match=r"more than 0\.5 s"):
        list(budget.counted(range(1000)))


def test_an_error_names_parameter_expression_and_what_is_missing() -> None:
    template = Template({"json": {"lines": [{"sku": "{{ body.nope }}"}]}})
    with pytest.raises(ExpressionError, match=r"parameter json\.lines\.0\.sku: 'body\.nope': .*'nope'"):
        template.render(SCOPE)
