from typing import Literal

import pytest

from connectors.connector import Call, Connector
from connectors.errors import PermanentError
from connectors.registry import load_connector

shop = Connector("shop")


@shop.action
async def order(
    call: Call,
    *,
    sku: str,
    count: int = 1,
    speed: Literal["slow", "fast"] = "slow",
    tags: list[str] | None = None,
    json: object = None,
) -> None:
    """Order at least once."""


ORDER = shop.actions["order"]


@pytest.mark.parametrize(
    "mapping",
    [
        {"sku": "a"},
        {"sku": "{{ body.sku }}", "count": "{{ body.count }}", "speed": "{{ body.speed }}", "tags": "{{ body.tags }}"},
        {"sku": "a", "tags": ["x", "{{ body.tag }}"]},
        {"sku": "a", "json": {"deep": [{"x": "{{ body }}"}]}},
        {"sku": 17},
        {"sku": "a", "count": "{% if body.n %}{{ body.n }}{% endif %}"},
    ],
)
def test_a_good_mapping_has_no_mistakes(mapping):
    assert ORDER.check(mapping) == []


@pytest.mark.parametrize(
    ("mapping", "path", "says"),
    [
        ({}, ("sku",), "missing"),
        ({"sku": "a", "cuont": 1}, ("cuont",), "did you mean 'count'?"),
        ({"sku": "a", "zzz": 1}, ("zzz",), "the parameters are: sku, count, speed, tags, json"),
        ({"sku": "a", "zzz": "{{ body }}"}, ("zzz",), "no parameter"),
        ({"sku": ["a"]}, ("sku",), "string"),
        ({"sku": "a", "count": "many"}, ("count",), "integer"),
        ({"sku": "a", "speed": "warp"}, ("speed",), "'slow' or 'fast'"),
        ({"sku": "a", "tags": [{"x": "{{ body }}"}]}, ("tags", 0), "string"),
    ],
)
def test_a_mistake_is_found_before_anything_starts(mapping, path, says):
    (mistake,) = ORDER.check(mapping)
    assert mistake.path == path
    assert says in f"{mistake.message} {mistake.suggestion}"


def test_all_mistakes_come_at_once():
    assert {mistake.path for mistake in ORDER.check({"count": "x", "speed": "y", "z": 1})} == {
        ("sku",),
        ("count",),
        ("speed",),
        ("z",),
    }


def test_a_mapping_of_http_request_is_checked():
    request = load_connector("http").actions["request"]
    mistakes = request.check({"method": "FETCH", "path": "/x", "jsn": {}, "query": {"a": {"b": 1}}})
    assert {mistake.path for mistake in mistakes} == {("method",), ("jsn",), ("query", "a")}


def test_rendered_parameters_are_read_and_a_misfit_shows_no_value():
    assert ORDER.read({"sku": 17, "count": "3"}) == {
        "sku": "17", "count": 3, "speed": "slow", "tags": None, "json": None,
    }  # fmt: skip
    with pytest.raises(PermanentError, match="count: ") as caught:
        ORDER.read({"sku": "a", "count": "private"})
    assert "private" not in str(caught.value)
