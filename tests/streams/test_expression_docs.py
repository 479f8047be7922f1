"""docs/reference/expressions.md: every example does what it says, and every filter has one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from streams.expression import Template
from streams.filters import expression_filters

PAGE = (Path(__file__).parents[2] / "docs/reference/expressions.md").read_text()
EXAMPLES = re.findall(r"^(\{[{%].*?|order .*?) +→ (.+)$", PAGE, re.MULTILINE)
SCOPE = {
    "body": json.loads(re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)[1]),  # type: ignore[index]  # it is there
    "event": {"source": "shop"},
    "headers": {},
}


@pytest.mark.parametrize(("expression", "expected"), EXAMPLES)
def test_an_example_gives_what_it_says(expression: str, expected: str) -> None:
    rendered = Template(expression).render(SCOPE)
    assert json.loads(json.dumps(rendered)) == json.loads(expected)


def test_every_filter_has_an_example() -> None:
    shown = {name for expression, _ in EXAMPLES for name in re.findall(r"\| (\w+)", expression)}
    assert shown == set(expression_filters("budget"))


def test_there_are_as_many_examples_as_arrows() -> None:
    assert len(EXAMPLES) == PAGE.count("→")
