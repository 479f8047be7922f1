"""The section ``tests`` of the routing table: what it must make of an event, checked without any network."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from headrace.config import RoutingTable
from headrace.rehearsal import MATCHED, UNMATCHED, Rehearsed, rehearse
from headrace.sample import BadSample, Sample, read_request, sample_events, sample_own_event, sample_tick
from headrace.table_tests import Expectation, TableTest
from streams.body import BodyTooLarge, MalformedBody, UnsupportedBody
from streams.event import OWN_SOURCE, SCHEDULES_SOURCE


@dataclass(frozen=True, slots=True)
class Tested:
    """One test and what is wrong, in lines for a person; none if it passed."""

    name: str
    problems: list[str]


def run_tests(table: RoutingTable, *, secrets: Iterable[str]) -> list[Tested]:
    """Run every test of the table, in its order."""
    kept = list(secrets)
    return [Tested(test.name, _problems(test, table, kept)) for test in table.tests]


def _problems(test: TableTest, table: RoutingTable, secrets: list[str]) -> list[str]:
    try:
        samples = _samples(test, table)
        results = [found for one in samples for found in rehearse(table, one.event, secrets=secrets)]
    except OSError as error:
        return [f"{test.event} cannot be read: {error.strerror}"]
    except (BadSample, MalformedBody, UnsupportedBody, BodyTooLarge) as error:
        return [f"{test.event}: {error}"]
    got = [result for result in results if result.verdict != UNMATCHED]
    problems = _compared([_expected(one) for one in test.expect], got)
    if problems:
        reasons = {result.route: result.reason for result in results if result.verdict == UNMATCHED}
        named = [expectation.route for expectation in test.expect]
        problems += [f"{route} does not match: {reasons[route]}" for route in named if route in reasons]
    return problems


def _samples(test: TableTest, table: RoutingTable) -> list[Sample]:
    raw = (table.path.parent / test.event).read_bytes()
    now_ms = round(time.time() * 1000)
    if test.source == OWN_SOURCE:
        return [sample_own_event(raw, event_type=test.type, now_ms=now_ms)]
    if test.source == SCHEDULES_SOURCE:
        return [sample_tick(table.compiled_schedules(), raw, event_type=test.type, now_ms=now_ms)]
    request = read_request(raw, dict(test.headers))
    return sample_events(test.source, table.sources[test.source], request, event_type=test.type, now_ms=now_ms)


def _expected(expectation: Expectation) -> dict[str, object]:
    fields = expectation.model_dump(exclude_unset=True)
    return {"route": fields.pop("route"), **fields}


def _compared(expected: list[dict[str, object]], got: list[Rehearsed]) -> list[str]:
    """Return the difference, as lines of JSON that begin with ``-`` (expected) and ``+`` (found)."""
    found = []
    for index, result in enumerate(got):
        fields: dict[str, object] = {"route": result.route, "action": result.action, "parameters": result.parameters}
        if result.verdict != MATCHED:
            fields = {"route": result.route, "fails": result.reason}
        # What an expectation does not say is not compared; a route that nobody expected shows itself whole.
        wanted = expected[index] if index < len(expected) and expected[index]["route"] == result.route else None
        found.append(_narrowed(fields, wanted))
    before, after = _lines(expected), _lines(found)
    if before == after:
        return []
    return [line for line in difflib.ndiff(before, after) if not line.startswith("?")]


def _narrowed(fields: dict[str, object], wanted: dict[str, object] | None) -> dict[str, object]:
    if wanted is None:
        return fields
    narrowed = {name: fields[name] for name in fields if name in wanted or name == "fails"}
    fails = wanted.get("fails")
    if isinstance(fails, str) and fails in str(fields.get("fails", "")):
        narrowed["fails"] = fails
    return narrowed


def _lines(rows: list[dict[str, object]]) -> list[str]:
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
    return [line for row in rows for line in orjson.dumps(row, option=options).decode().splitlines()]
