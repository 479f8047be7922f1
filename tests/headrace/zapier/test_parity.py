"""Parity: every planted difference is found, and no other."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.zapier.parity import CallMade, compare, flatten, our_payload
from headrace.zapier.shadow_calls import calls_of_history


def payloads(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Return payloads of one kind: most of their values are the same in many of them."""
    chance = random.Random(seed)
    return [
        {
            "customer": f"c-{number % 37}",
            "order": {"id": f"o-{number}", "total": chance.randrange(1, 50), "currency": chance.choice(["EUR", "USD"])},
            "lines": [{"sku": f"sku-{chance.randrange(9)}", "n": chance.randrange(1, 4)} for _ in range(2)],
            "status": "paid",
            "note": None,
        }
        for number in range(count)
    ]


def calls(found: list[dict[str, Any]], *, strict: bool = True, who: str = "x") -> list[CallMade]:
    return [CallMade(flatten(one, strict=strict), f"{who}{number}", float(number)) for number, one in enumerate(found)]


def planted(seed: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, set[int]]]:
    """Return our side, theirs with twenty differences, and where those are."""
    chance = random.Random(seed)
    ours = payloads(500, seed)
    theirs = json.loads(json.dumps(ours))
    places = chance.sample(range(500), 20)
    changed, missing, repeated, extra = set(places[:11]), set(places[11:14]), set(places[14:17]), set(places[17:])
    edits = [
        lambda p: p["order"].update(total=p["order"]["total"] + 1),
        lambda p: p["order"].update(total=str(p["order"]["total"])),
        lambda p: p.update(status="Paid"),
        lambda p: p.update(status="paid "),
        lambda p: p.pop("status"),
        lambda p: p.update(added=True),
        lambda p: p["lines"].reverse() if p["lines"][0] != p["lines"][1] else p["lines"].pop(),
        lambda p: p["order"].update(currency="GBP"),
        lambda p: p.update(note=""),
        lambda p: p["order"].update(id=p["order"]["id"].upper()),
        lambda p: p.update(customer=p["customer"] + "x", status="open"),
    ]
    for place, edit in zip(sorted(changed), edits, strict=True):
        edit(theirs[place])
    result = [payload for number, payload in enumerate(theirs) if number not in missing]
    result += [theirs[number] for number in repeated]
    result += [{"customer": f"new-{n}", "order": {"id": f"n-{n}"}, "kind": "refund", "why": "z"} for n in extra]
    chance.shuffle(result)
    return ours, result, {"changed": changed, "missing": missing, "repeated": repeated, "extra": extra}


@pytest.mark.parametrize("seed", range(5))
def test_each_of_twenty_planted_differences_is_found_and_no_other(seed: int) -> None:
    ours, theirs, places = planted(seed)
    found = compare(calls(ours, who="ours-"), calls(theirs))
    assert {int(one.ours.removeprefix("ours-")) for one in found.different} == places["changed"]
    assert {int(label.removeprefix("ours-")) for label in found.only_ours} == places["missing"]
    assert len(found.only_theirs) == len(places["repeated"]) + len(places["extra"])
    assert found.matched == 500 - 11 - 3
    assert all(1 <= len(one.fields) <= 4 for one in found.different)


@given(count=st.integers(0, 40), seed=st.integers(0, 1000))
def test_the_same_calls_in_any_order_match(count: int, seed: int) -> None:
    ours = payloads(count, seed)
    theirs = ours[:]
    random.Random(seed).shuffle(theirs)
    found = compare(calls(ours), calls(theirs))
    assert (found.matched, found.total) == (count, count)


@given(ours=st.integers(0, 20), theirs=st.integers(0, 20))
def test_every_call_is_counted_once(ours: int, theirs: int) -> None:
    left, right = calls(payloads(ours, 1)), calls(payloads(theirs, 2))
    found = compare(left, right)
    assert found.matched + len(found.different) + len(found.only_ours) == ours
    assert found.matched + len(found.different) + len(found.only_theirs) == theirs


def test_a_key_says_which_is_which() -> None:
    ours = [CallMade({"id": "1", "a": "x"}, "o1"), CallMade({"id": "2", "a": "y"}, "o2")]
    theirs = [CallMade({"id": "2", "a": "q", "b": "r"}, "t2"), CallMade({"id": "3", "a": "x"}, "t3")]
    found = compare(ours, theirs, key="id")
    assert [(one.ours, one.theirs) for one in found.different] == [("o2", "t2")]
    assert found.different[0].fields == {"a": ("y", "q"), "b": (None, "r")}
    assert (found.only_ours, found.only_theirs) == (["o1"], ["t3"])


def test_a_history_of_texts_compares_with_numbers(tmp_path: Path) -> None:
    rows = ["Zap title,Status,Date,Data In", 'A,success,2026-03-01,"{""amount"": ""12.5"", ""n"": ""3"", ""x"": """"}"']
    rows += ['A,error,2026-03-01,"{""amount"": ""1""}"']
    (tmp_path / "history.csv").write_text("\n".join(rows))
    theirs = calls_of_history([tmp_path / "history.csv"], since_ms=None)
    ours = [CallMade(flatten({"amount": 12.5, "n": 3, "x": None}, strict=False), "ours")]
    assert compare(ours, theirs).share == 1


def test_recorded_requests_compare_strictly(tmp_path: Path) -> None:
    row = {"method": "POST", "url": "https://x/y", "headers": {}, "body": '{"n": "3"}'}
    (tmp_path / "log.jsonl").write_text(json.dumps(row) + "\n" + json.dumps({**row, "body": "a=1&b=2"}))
    theirs = calls_of_history([tmp_path / "log.jsonl"], since_ms=None)
    ours = [
        CallMade(flatten(our_payload({"method": "POST", "json": {"n": 3}}), strict=True), "number"),
        CallMade(flatten(our_payload({"form": {"a": "1", "b": "2"}}), strict=True), "form"),
    ]
    found = compare(ours, theirs)
    assert found.matched == 1
    assert found.share < 1


def test_nothing_to_compare_is_no_parity() -> None:
    assert compare([], []).share == 0
