"""Whether two systems would have called the same: shadow records against what the old system did.

Calls that hold exactly the same are matched. Of the rest, those that share most of what tells calls apart are taken for
one call that differs, closest first; what is left is only ours, or only theirs. Nothing tells the two apart but what
they hold, so two calls that hold the same are the same.
"""

from __future__ import annotations

import base64
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

ALIKE_MIN = 0.4  # of what tells calls apart: two that share less are not one that differs
CANDIDATES_MAX = 200  # a value that more calls than this hold says nothing about which is which

Fields = dict[str, str]


@dataclass(frozen=True)
class CallMade:
    """One call: its fields by path, as text, and what names it in a report."""

    fields: Fields
    label: str
    at_s: float | None = None

    @property
    def identity(self) -> tuple[tuple[str, str], ...]:
        """All that it holds."""
        return tuple(sorted(self.fields.items()))


@dataclass(frozen=True)
class Difference:
    """Two calls that are one. ``fields`` maps each path that differs to our value and theirs, ``None`` for none."""

    ours: str
    theirs: str
    fields: Mapping[str, tuple[str | None, str | None]]


@dataclass
class Parity:
    """What a comparison found."""

    matched: int = 0
    different: list[Difference] = field(default_factory=list)
    only_ours: list[str] = field(default_factory=list)
    only_theirs: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """How many calls there were, pairs counted once."""
        return self.matched + len(self.different) + len(self.only_ours) + len(self.only_theirs)

    @property
    def share(self) -> float:
        """The share of calls that matched, from 0 to 1; 0 where there was nothing to compare."""
        return self.matched / self.total if self.total else 0.0


def compare(ours: Sequence[CallMade], theirs: Sequence[CallMade], *, key: str | None = None) -> Parity:
    """Return how two lists of calls compare. With ``key``, calls are one if they hold the same in that field."""
    found = Parity()
    left, right = _without_equal(ours, theirs, found)
    if key:
        pairs = _by_key(left, right, key)
    else:
        # A repeat of a call that matched is one too many, not another call that differs.
        known = {call.identity for call in ours} & {call.identity for call in theirs}
        news = [number for number, call in enumerate(left) if call.identity not in known]
        others = [number for number, call in enumerate(right) if call.identity not in known]
        alike = _alike([left[n] for n in news], [right[n] for n in others], _weights([*ours, *theirs]))
        pairs = [(news[one], others[other]) for one, other in alike]
    for one, other in pairs:
        found.different.append(Difference(left[one].label, right[other].label, _differing(left[one], right[other])))
    taken_left, taken_right = {one for one, _ in pairs}, {other for _, other in pairs}
    found.only_ours = [call.label for number, call in enumerate(left) if number not in taken_left]
    found.only_theirs = [call.label for number, call in enumerate(right) if number not in taken_right]
    return found


def _without_equal(
    ours: Iterable[CallMade], theirs: Sequence[CallMade], found: Parity
) -> tuple[list[CallMade], list[CallMade]]:
    there = Counter(call.identity for call in theirs)
    left, used = [], Counter[tuple[tuple[str, str], ...]]()
    for call in ours:
        if used[call.identity] < there[call.identity]:
            used[call.identity] += 1
            found.matched += 1
        else:
            left.append(call)
    right = []
    for call in theirs:
        if used[call.identity]:
            used[call.identity] -= 1
        else:
            right.append(call)
    return left, right


def _by_key(left: Sequence[CallMade], right: Sequence[CallMade], key: str) -> list[tuple[int, int]]:
    there: dict[str, list[int]] = defaultdict(list)
    for number, call in enumerate(right):
        if key in call.fields:
            there[call.fields[key]].append(number)
    pairs = []
    for number, call in enumerate(left):
        waiting = there.get(call.fields.get(key, "\0"), [])
        if waiting:
            pairs.append((number, waiting.pop(0)))
    return pairs


Weights = Mapping[tuple[str, str], float]


def _weights(calls: Sequence[CallMade]) -> Weights:
    """Return how much a field's value says about which call it is: the rarer, the more; what all hold says nothing."""
    counts = Counter(pair for call in calls for pair in call.fields.items())
    return {pair: math.log(len(calls) / count) for pair, count in counts.items()}


def _alike(left: Sequence[CallMade], right: Sequence[CallMade], weights: Weights) -> list[tuple[int, int]]:
    holders: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, call in enumerate(right):
        for pair in call.fields.items():
            holders[pair].append(number)
    scored: list[tuple[float, float, int, int]] = []
    for number, call in enumerate(left):
        found = (holders.get(pair, []) for pair in call.fields.items())
        for other in {other for others in found if len(others) <= CANDIDATES_MAX for other in others}:
            score = _alikeness(call, right[other], weights)
            if score >= ALIKE_MIN:
                scored.append((-score, _apart_s(call, right[other]), number, other))
    pairs: list[tuple[int, int]] = []
    used_left: set[int] = set()
    used_right: set[int] = set()
    for _, _, number, other in sorted(scored):
        if number not in used_left and other not in used_right:
            used_left.add(number)
            used_right.add(other)
            pairs.append((number, other))
    return sorted(pairs)


def _alikeness(one: CallMade, other: CallMade, weights: Weights) -> float:
    """Return the share of what tells calls apart that two of them have in common, from 0 to 1."""
    same = apart = 0.0
    for path in one.fields.keys() | other.fields.keys():
        held = {(path, call.fields[path]) for call in (one, other) if path in call.fields}
        weight = max(weights[pair] for pair in held)
        if len(held) == 1 and path in one.fields and path in other.fields:
            same += weight
        else:
            apart += weight
    return same / (same + apart) if same else 0.0


def _apart_s(one: CallMade, other: CallMade) -> float:
    return abs(one.at_s - other.at_s) if one.at_s is not None and other.at_s is not None else 0.0


def _differing(one: CallMade, other: CallMade) -> dict[str, tuple[str | None, str | None]]:
    paths = sorted(one.fields.keys() | other.fields.keys())
    pairs = {path: (one.fields.get(path), other.fields.get(path)) for path in paths}
    return {path: pair for path, pair in pairs.items() if pair[0] != pair[1]}


def flatten(value: object, path: str = "", *, strict: bool) -> Fields:
    """Return every scalar within ``value`` by its path. Not ``strict``: numbers and their texts are the same."""
    if isinstance(value, Mapping):
        found: Fields = {}
        for key, item in value.items():
            found |= flatten(item, f"{path}.{key}" if path else str(key), strict=strict)
        return found
    if isinstance(value, list):
        found = {}
        for number, item in enumerate(value):
            found |= flatten(item, f"{path}[{number}]", strict=strict)
        return found
    if strict:
        return {path: json.dumps(value, ensure_ascii=False)}
    return {} if value is None or value == "" else {path: _loose(value)}


def _loose(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    text = str(value).strip()
    return text.lower() if text in ("True", "False") else text


def our_payload(parameters: Mapping[str, Any]) -> object:
    """Return what a call of ours sends: for a request its JSON or form, else all of its parameters."""
    for name in ("json", "form", "payload"):
        if parameters.get(name) is not None:
            return parameters[name]
    return parameters


def recorded_request(row: Mapping[str, Any]) -> object | None:
    """Return what a recorded request sends: a row with ``method``, ``url``, ``headers`` and ``body``; else ``None``."""
    if "url" not in row or not (row.keys() & {"body", "body_b64"}):
        return None
    body: object = row.get("body", "")
    if "body_b64" in row:
        try:
            body = base64.b64decode(str(row["body_b64"])).decode(errors="replace")
        except ValueError:
            return None
    if not isinstance(body, str):
        return body
    try:
        parsed: object = json.loads(body)
    except ValueError:
        pairs = parse_qsl(body, keep_blank_values=True)
        return dict(pairs) if pairs else {"body": body}
    return parsed
