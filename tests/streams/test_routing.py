"""Routes take the events of their sources, in the table's order, where their condition holds."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from streams.expression import ExpressionError
from streams.routing import RouteSettings, compile_routes


def settings(name: str = "a-route", **keys: object) -> RouteSettings:
    return RouteSettings.model_validate({"name": name, "source": "orders", "to": "crm", "action": "request", **keys})


def scope(**body: object) -> dict[str, object]:
    return {"body": body, "event": {"id": "1", "type": "created"}, "headers": {}}


def test_routes_are_found_by_source_in_order() -> None:
    routes = compile_routes(
        [settings("one"), settings("two", source=["orders", "github"]), settings("three", source="*")]
    )
    assert [route.name for route in routes.for_source("orders")] == ["one", "two", "three"]
    assert [route.name for route in routes.for_source("github")] == ["two", "three"]
    assert [route.name for route in routes.for_source("stripe")] == ["three"]
    assert len(routes) == len(list(routes)) == 3


def test_routes_are_found_by_name() -> None:
    routes = compile_routes([settings("one")])
    found = routes.named("one")
    assert found is not None
    assert (found.destination, found.action) == ("crm", "request")
    assert routes.named("gone") is None


def test_a_route_without_a_condition_matches_everything() -> None:
    (route,) = compile_routes([settings()])
    assert route.matches(scope())


def test_a_condition_decides_and_its_error_comes_through() -> None:
    (route,) = compile_routes([settings(when="body.total >= 100")])
    assert route.matches(scope(total=100))
    assert not route.matches(scope(total=99))
    with pytest.raises(ExpressionError, match="total"):
        route.matches(scope())


def test_parameters_are_rendered_with_their_types() -> None:
    (route,) = compile_routes(
        [settings(**{"with": {"json": {"cents": "{{ body.total }}"}, "path": "/x/{{ event.id }}"}})]
    )
    assert route.render(scope(total=5)) == {"json": {"cents": 5}, "path": "/x/1"}


def test_an_invalid_expression_names_its_route() -> None:
    with pytest.raises(ExpressionError, match="route broken"):
        compile_routes([settings("broken", when="body.")])


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Upper"},
        {"name": "a" * 64},
        {"name": "line\n"},
        {"source": []},
        {"source": ["*"]},
        {"source": "no spaces"},
        {"to": ""},
        {"surprise": 1},
        {"with": [1]},
    ],
)
def test_a_malformed_route_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        settings(**wrong) if "name" not in wrong else settings(str(wrong["name"]))
