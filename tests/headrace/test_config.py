"""A routing table is checked in every part and across them, and every mistake is named at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, model_validator

from headrace.config import ConfigError, Mistake, RoutingTable, load_routing_table
from headrace.document import read_document
from headrace.validation import Findings

REPOSITORY = Path(__file__).resolve().parents[2]

VALID: dict[str, Any] = {
    "version": 1,
    "sources": {
        "github": {"scheme": "github", "secret_env": "GITHUB_WEBHOOK_SECRET"},
        "orders": {"scheme": "hmac", "secret_env": ["NEW", "OLD"], "event_id": "{{ body.id }}", "header": "X-Sig"},
        "legacy": {"scheme": "none", "allow_unsigned": True},
    },
    "destinations": {
        "crm": {
            "connector": "http",
            "base_url": "https://crm.example.com/api",
            "token_env": "CRM_TOKEN",
            "rate": "10/s",
        },
        "console": {"connector": "log"},
    },
    "routes": [
        {
            "name": "orders-to-crm",
            "source": "orders",
            "when": "body.total > 10",
            "to": "crm",
            "action": "request",
            "with": {"method": "POST", "path": "/orders", "json": {"id": "{{ body.id }}"}},
        },
        {"name": "all", "source": "*", "to": "console", "action": "write", "with": {"message": "{{ event.id }}"}},
    ],
}

TEN_MISTAKES = """\
version: 1
sources:
  github:
    scheme: github
    secret: hunter2-hunter2
  gitlab:
    scheme: gitlub
  open:
    scheme: none
destinations:
  crm:
    connector: http
    base_url: https://crm.example.com
    timeout_s: 0
    concurency: 5
routes:
  - name: one
    source: githb
    when: body.type = "x"
    to: crm
    action: request
  - name: one
    source: github
    to: crn
    action: request
  - name: two
    source: github
    to: crm
    action: request
    with: {methd: POST}
"""


def load(tmp_path: Path, table: object) -> RoutingTable:
    path = tmp_path / "headrace.yaml"
    path.write_text(table if isinstance(table, str) else yaml.safe_dump(table, sort_keys=False))
    return load_routing_table(path)


def mistakes(tmp_path: Path, table: object) -> list[Mistake]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, table)
    return caught.value.mistakes


def changed(*where: str | int, to: object) -> dict[str, Any]:
    """Return the valid table with one value changed; ``...`` takes it out."""
    table: dict[str, Any] = yaml.safe_load(yaml.safe_dump(VALID))
    part: Any = table
    for key in where[:-1]:
        part = part[key]
    if to is ...:
        del part[where[-1]]
    else:
        part[where[-1]] = to
    return table


def test_a_valid_table_is_read(tmp_path: Path) -> None:
    table = load(tmp_path, VALID)
    assert set(table.sources) == {"github", "orders", "legacy"}
    assert table.destinations["crm"].concurrency == 50
    assert [route.name for route in table.compiled_routes().for_source("orders")] == ["orders-to-crm", "all"]
    assert table.delays_s == [60, 120, 240, 480, 960]
    assert dict(table.secret_envs()) == {
        ("sources", "github", "secret_env"): ["GITHUB_WEBHOOK_SECRET"],
        ("sources", "orders", "secret_env"): ["NEW", "OLD"],
        ("destinations", "crm", "token_env"): ["CRM_TOKEN"],
    }
    assert table.warnings == []


def test_a_value_in_the_path_of_a_call_is_one_part_of_it(tmp_path: Path) -> None:
    table = load(tmp_path, changed("routes", 0, "with", "path", to="/orders/{{ body.id }}"))
    (route, _) = table.compiled_routes().for_source("orders")
    rendered = route.render({"body": {"id": "1/refunds"}, "event": {}, "headers": {}})
    assert rendered["path"] == "/orders/1%2Frefunds"


def test_the_table_of_the_repository_is_valid() -> None:
    table = load_routing_table(REPOSITORY / "headrace.yaml")
    assert table.warnings == []
    assert {"github", "orders"} <= set(table.sources)


def test_the_smallest_table_is_valid(tmp_path: Path) -> None:
    assert load(tmp_path, "version: 1\nsources:\nroutes: []\n").routes == []


def test_ten_different_mistakes_are_all_named_with_their_lines(tmp_path: Path) -> None:
    found = {(mistake.line, mistake.key) for mistake in mistakes(tmp_path, TEN_MISTAKES)}
    assert found == {
        (5, "sources.github.secret"),
        (7, "sources.gitlab.scheme"),
        (9, "sources.open.scheme"),
        (14, "destinations.crm.timeout_s"),
        (15, "destinations.crm.concurency"),
        (18, "routes[0].source"),
        (19, "routes[0].when"),
        (22, "routes[1].name"),
        (24, "routes[1].to"),
        (30, "routes[2].with.methd"),
    }


def test_suggestions_name_what_was_meant(tmp_path: Path) -> None:
    suggestions = {mistake.key: mistake.suggestion for mistake in mistakes(tmp_path, TEN_MISTAKES)}
    assert "'gitlab'" in suggestions["sources.gitlab.scheme"]
    assert "'concurrency'" in suggestions["destinations.crm.concurency"]
    assert "'github'" in suggestions["routes[0].source"]
    assert "'crm'" in suggestions["routes[1].to"]
    assert "'method'" in suggestions["routes[2].with.methd"]
    assert "'secret_env'" in suggestions["sources.github.secret"]


def test_a_secret_in_the_table_is_never_shown(tmp_path: Path) -> None:
    for table in (TEN_MISTAKES, changed("sources", "github", "secret_env", to="hunter2-hunter2")):
        assert not any("hunter2" in str(mistake) for mistake in mistakes(tmp_path, table))


TEST = {"name": "x", "source": "orders", "event": "event.json"}
PARAMETER = ("tests[0].expect[0].parameter", "did you mean 'parameters'?")
BACKOFF = ("destinations.crm.retry.backoff_s", "too few values, such as [2, 10]")
TICK = {"name": "x", "cron": "0 9 * * *"}


@pytest.mark.parametrize(
    ("table", "key", "message"),
    [
        (changed("version", to=...), "", "version"),
        (changed("version", to=2), "version", "version 1"),
        (changed("version", to=True), "version", "version 1"),
        (changed("schedules", to={"name": "x"}), "schedules", "list"),
        (changed("schedules", to=["x"]), "schedules[0]", "mapping"),
        (changed("schedules", to=[{"name": "x"}]), "schedules[0]", "'cron' is missing"),
        (changed("schedules", to=[{"name": "x", "cron": "60 * * * *"}]), "schedules[0].cron", "Bad minute"),
        (changed("schedules", to=[TICK, TICK]), "schedules[1].name", "taken"),
        (changed("schedules", to=[{**TICK, "timezone": "Berlin"}]), "schedules[0].timezone", "Europe/Berlin"),
        (changed("schedules", to=[{**TICK, "catchup": "all"}]), "schedules[0].catchup", "not known"),
        (
            changed("schedules", to=[{**TICK, "starts": "2026-02-01", "ends": "2026-01-01"}]),
            "schedules[0].ends",
            "never due",
        ),
        (
            changed("schedules", to=[{**TICK, "starts": "2026-01-01", "ends": "2026-01-01T08:00"}]),
            "schedules[0].cron",
            "between",
        ),
        (changed("rutes", to=[]), "rutes", "not known"),
        (changed("sources", to=[]), "sources", "mapping"),
        (changed("sources", "github", to=None), "sources.github", "mapping"),
        (changed("sources", "Shop", to={"scheme": "none", "allow_unsigned": True}), "sources.Shop", "name must match"),
        (changed("sources", "github", "scheme", to=...), "sources.github", "'scheme' is missing"),
        (changed("sources", "github", "secret_env", to=...), "sources.github", "secret_env"),
        (changed("sources", "github", "secret_env", to=[]), "sources.github.secret_env", "at least 1"),
        (changed("sources", "github", "secret_env", to="whsec_5eCr3t"), "sources.github.secret_env", "environment"),
        (
            changed("sources", "github", "secret_env", to=["OK", "not ok"]),
            "sources.github.secret_env[1]",
            "environment",
        ),
        (changed("sources", "github", "allow_unsigned", to=True), "sources.github.allow_unsigned", "github"),
        (changed("sources", "github", "dedup_ttl", to="1h"), "sources.github.dedup_ttl", "shorter"),
        (changed("sources", "github", "dedup_ttl", to="7 days"), "sources.github.dedup_ttl", "not a duration"),
        (changed("sources", "github", "body_bytes_max", to=0), "sources.github.body_bytes_max", "at least 1"),
        (changed("sources", "github", "rate", to="fast"), "sources.github.rate", "not a rate"),
        (changed("sources", "github", "keep_headers", to="x"), "sources.github.keep_headers", "list"),
        (changed("sources", "orders", "event_id", to="{{ bdy.id }}"), "sources.orders.event_id", "bdy"),
        (changed("sources", "orders", "partition_by", to="{{ body. }}"), "sources.orders.partition_by", "body."),
        (changed("sources", "orders", "algorithm", to="md4"), "sources.orders.algorithm", "must be"),
        (changed("sources", "legacy", "allow_unsigned", to=False), "sources.legacy.scheme", "verifies nothing"),
        (changed("sources", "legacy", "secret_env", to="X"), "sources.legacy.secret_env", "verifies nothing"),
        (changed("destinations", "crm", "connector", to=...), "destinations.crm", "'connector' is missing"),
        (changed("destinations", "crm", "connector", to="htp"), "destinations.crm.connector", "no connector"),
        (changed("destinations", "crm", "base_url", to=...), "destinations.crm", "'base_url' is missing"),
        (changed("destinations", "crm", "base_url", to="https://u:p@x"), "destinations.crm.base_url", "password"),
        (changed("destinations", "crm", "base_url", to="ftp://x"), "destinations.crm.base_url", "http"),
        (changed("destinations", "crm", "timeout_s", to=-1), "destinations.crm.timeout_s", "greater than 0"),
        (changed("destinations", "crm", "timeout_s", to="soon"), "destinations.crm.timeout_s", "number"),
        (changed("destinations", "crm", "rate", to="10/x"), "destinations.crm.rate", "10/s"),
        (changed("destinations", "crm", "retry", to={"attempts": 0}), "destinations.crm.retry.attempts", "at least 1"),
        (changed("destinations", "crm", "retry", to={"tries": 1}), "destinations.crm.retry.tries", "not known"),
        (changed("destinations", "crm", "retry", to=[1]), "destinations.crm.retry", "mapping"),
        (changed("destinations", "crm", "delays_s", to=[60, 0]), "destinations.crm.delays_s[1]", "at least 1"),
        (changed("destinations", "crm", "delays_s", to=[600_000]), "destinations.crm.delays_s[0]", "six days"),
        (changed("destinations", "crm", "delays_s", to=list(range(1, 60))), "destinations.crm.delays_s", "at most 50"),
        (changed("routes", to={}), "routes", "list"),
        (changed("routes", 0, to="x"), "routes[0]", "mapping"),
        (changed("routes", 0, "name", to="No"), "routes[0].name", "must match"),
        (changed("routes", 1, "name", to="orders-to-crm"), "routes[1].name", "taken by routes[0]"),
        (changed("routes", 0, "source", to=...), "routes[0]", "'source' is missing"),
        (changed("routes", 0, "source", to=["orders", "odrers"]), "routes[0].source[1]", "no source"),
        (changed("routes", 0, "to", to="crn"), "routes[0].to", "no destination"),
        (changed("routes", 0, "action", to="reqest"), "routes[0].action", "no action"),
        (changed("routes", 0, "when", to="body."), "routes[0].when", "body."),
        (changed("routes", 0, "when", to="payload.x"), "routes[0].when", "payload"),
        (changed("routes", 0, "with", "json", to={"a": ["{{ foo }}"]}), "routes[0].with.json.a[0]", "foo"),
        (changed("routes", 0, "with", "json", to={"{{ body.x }}": 1}), "routes[0].with.json.{{ body.x }}", "key"),
        (changed("routes", 0, "with", "method", to="FETCH"), "routes[0].with.method", "must be"),
        (changed("routes", 0, "with", "path", to=[1]), "routes[0].with.path", "text"),
        (changed("routes", 0, "whith", to={}), "routes[0].whith", "not known"),
        (changed("routes", 0, "each", to="{{ item }}"), "routes[0].each", "item"),
        (changed("routes", 0, "with", "path", to="{{ item }}"), "routes[0].with.path", "item"),
        (changed("routes", 0, "priority", to="low"), "routes[0].priority", "must be"),
        (changed("routes", 0, "ordered", to=True), "routes[0].ordered", "partition_by on its source: orders"),
        (changed("routes", 1, "ordered", to=True), "routes[1].ordered", "github, legacy, orders"),
        (changed("routes", 0, "with", "form", to={"a": 1}), "routes[0].with", "not json and form"),
        (changed("tests", to=[{**TEST, "expect": [{"route": "all", "parameter": {}}]}]), *PARAMETER),
        (changed("destinations", "crm", "rate", to=10), "destinations.crm.rate", 'must be text, such as "10/s"'),
        (changed("sources", "github", "rate", to=100), "sources.github.rate", 'must be text, such as "100/s"'),
        (changed("ingest", to={"spool": {"drain_rate": 9}}), "ingest.spool.drain_rate", 'such as "1000/s"'),
        (changed("destinations", "crm", "timeout_s", to="10s"), "destinations.crm.timeout_s", "of seconds, such as 10"),
        (changed("sources", "github", "body_bytes_max", to="1MB"), "sources.github.body_bytes_max", "number of bytes"),
        (changed("destinations", "crm", "delays_s", to=60), "destinations.crm.delays_s", "a list, such as [60, 120"),
        (changed("destinations", "crm", "delays_s", to=["1m"]), "destinations.crm.delays_s[0]", "number of seconds"),
        (changed("destinations", "crm", "retry", to=3), "destinations.crm.retry", "the keys attempts, backoff_s"),
        (changed("destinations", "crm", "retry", to={"backoff_s": [2]}), *BACKOFF),
        (
            changed("schedules", to=[{**TICK, "starts": "soon"}]),
            "schedules[0].starts",
            "a time such as 2026-12-01T09:00Z",
        ),
        (changed("routes", 0, "name", to="My Route"), "routes[0].name", "lower-case letters"),
    ],
)
def test_each_mistake_is_found_at_its_key_and_alone(tmp_path: Path, table: object, key: str, message: str) -> None:
    (mistake,) = mistakes(tmp_path, table)
    assert mistake.key == key
    assert message in str(mistake)


def test_a_mistake_in_one_part_does_not_hide_those_of_another(tmp_path: Path) -> None:
    table = changed("sources", "github", to={"scheme": "github", "rate": "x", "event_id": "{{ a }}"})
    table["routes"][0]["action"] = "x"
    keys = {mistake.key for mistake in mistakes(tmp_path, table)}
    assert keys == {"sources.github", "sources.github.rate", "sources.github.event_id", "routes[0].action"}


def test_parameters_with_expressions_are_judged_when_they_are_rendered(tmp_path: Path) -> None:
    load(tmp_path, changed("routes", 0, "with", "method", to="{{ body.method }}"))


def test_an_ordered_route_takes_a_source_with_partition_by(tmp_path: Path) -> None:
    table = changed("routes", 0, "ordered", to=True)
    table["sources"]["orders"]["partition_by"] = "{{ body.customer }}"
    load(tmp_path, table)


def test_the_names_of_each_are_known_to_its_mapping(tmp_path: Path) -> None:
    table = changed("routes", 0, "each", to="{{ body.lines }}")
    table["routes"][0]["with"]["path"] = "/{{ item.sku }}"
    load(tmp_path, table)


def test_a_missing_parameter_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("async def f(call): ...\n")
    table = changed("destinations", "mine", to={"connector": "python", "module": "mine.py"})
    table["routes"].append({"name": "p", "source": "orders", "to": "mine", "action": "call", "with": {}})
    (mistake,) = mistakes(tmp_path, table)
    assert "'function' is missing" in mistake.message
    assert mistake.key.startswith("routes[2].with")


def test_what_is_never_used_is_a_warning(tmp_path: Path) -> None:
    table = load(tmp_path, changed("routes", to=[]))
    assert {warning.key for warning in table.warnings} == {
        "sources.github",
        "sources.orders",
        "sources.legacy",
        "destinations.crm",
        "destinations.console",
    }


def test_anchors_keep_tables_short(tmp_path: Path) -> None:
    text = """
version: 1
sources: {a: {scheme: none, allow_unsigned: true}}
destinations:
  one: &one {connector: http, base_url: "https://one.example.com", retry: {attempts: 2}}
  two: {<<: *one, base_url: "https://two.example.com"}
routes:
  - {name: r, source: a, to: one, action: request}
  - {name: s, source: a, to: two, action: request}
"""
    assert load(tmp_path, text).destinations["two"].retry.attempts == 2


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
places = [("sources",), ("sources", "orders"), ("sources", "orders", "event_id"), ("sources", "github", "secret_env")]
places += [
    ("destinations",),
    ("destinations", "crm"),
    ("destinations", "crm", "retry"),
    ("destinations", "crm", "rate"),
]
places += [("routes",), ("routes", 0), ("routes", 0, "with"), ("routes", 0, "source"), ("routes", 0, "when")]  # type: ignore[list-item]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(places), json_values)
def test_whatever_a_value_is_the_table_is_read_or_refused(
    tmp_path: Path, place: tuple[str, ...], value: object
) -> None:
    try:
        load(tmp_path, changed(*place, to=value))
    except ConfigError as error:
        assert error.mistakes  # noqa: PT017


def test_the_examples_are_valid() -> None:
    examples = sorted((Path(__file__).parents[2] / "docs/examples").glob("*.yaml"))
    assert examples
    for example in examples:
        assert not load_routing_table(example).warnings, example


def test_what_a_model_refuses_as_a_whole_is_a_mistake_where_nothing_else_is(tmp_path: Path) -> None:
    class Whole(BaseModel):
        a: int = 0

        @model_validator(mode="after")
        def _refuse(self) -> Self:
            raise ValueError("a goes not alone")

    path = tmp_path / "headrace.yaml"
    path.write_text("version: 1\nsources: {}\n")
    document, _ = read_document(path)
    assert document is not None
    findings = Findings(document)
    assert findings.validate(Whole, {"a": 1}, ("sources",)) is None
    (mistake,) = findings.mistakes
    assert (mistake.line, mistake.key, mistake.message) == (2, "sources", "a goes not alone")
    findings.add(("sources", "a"), "it is told apart")
    assert [found.message for found in findings.mistakes] == ["it is told apart"]
