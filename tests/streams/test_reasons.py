"""An expression's error speaks of fields, lists and texts, not of Python's types."""

from __future__ import annotations

import pytest

from streams.expression import Expression, ExpressionError, Template
from streams.reasons import in_plain_words

SCOPE = {"body": {"n": 7, "text": "t", "items": [1], "none": None}, "event": {}, "headers": {}}


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ body.customer }}", "there is no field 'customer'"),
        ('{{ headers["x-kind"] }}', "there is no field 'x-kind'"),
        ("{{ body.n.deeper }}", "a whole number has no field 'deeper'"),
        ("{{ body.text.deeper }}", "a text has no field 'deeper'"),
        ("{{ body.none.deeper }}", "null has no field 'deeper'"),
        ("{{ body['items'][3] }}", "a list has no element 3"),
        ("{{ body.n | map('upper') | list }}", "a whole number is not a list"),
    ],
)
def test_the_reason_is_in_plain_words(template: str, reason: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        Template(template).render(SCOPE)
    assert str(raised.value).endswith(reason)


def test_a_condition_says_it_too_and_what_is_unknown_stays() -> None:
    with pytest.raises(ExpressionError, match=r"there is no field 'total'$"):
        Expression("body.total > 1").holds(SCOPE)
    assert in_plain_words("a 'dict object' of another kind") == "a 'dict object' of another kind"
