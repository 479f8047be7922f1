"""The two sides of a comparison: shadow records, and what the old system's history says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from headrace.context import Settings
from headrace.zapier.parity import CallMade, flatten, our_payload, recorded_request
from headrace.zapier.task_history import Run, read_history
from streams.event import UnreadableRecord
from streams.kafka import read_topic
from streams.shadow import Shadow

_INPUTS = ("input", "inputs", "data_in", "input_data", "params", "fields", "payload", "body", "data", "request")
_ABOUT = frozenset(
    {"zap", "zap title", "zap name", "zap id", "status", "state", "tasks", "tasks used", "date", "time", "timestamp"}
    | {"run id", "task id", "app", "step", "action", "created at", "started at", "folder", "owner"}
)
_RUN_IDS = ("id", "ID", "task_id", "run_id", "Task ID", "Run ID")


async def calls_of_shadows(
    settings: Settings, route: str, *, since_ms: int | None, files: Sequence[Path]
) -> list[CallMade]:
    """Return what ``route`` would have called; compared as strictly as what it is compared with allows.

    Raises:
        KafkaUnavailable: the broker does not answer, or no route was ever in shadow mode.
    """
    strict = any(recorded_request(run.row) is not None for run in read_history(files))
    newest: dict[str, Shadow] = {}
    async for record in read_topic(settings.kafka(), settings.topic_names.shadow):
        if record.value is None:
            continue
        try:
            shadow = Shadow.from_record(record.value)
        except UnreadableRecord:
            continue  # of a later version: this one cannot tell what it holds
        if shadow.route == route:
            newest[shadow.delivery_id] = shadow
    found = []
    for shadow in newest.values():
        at_s = datetime.fromisoformat(shadow.accepted).timestamp()
        if since_ms is None or at_s * 1000 >= since_ms:
            label = shadow.receipt if shadow.item is None else f"{shadow.receipt} item {shadow.item}"
            parameters: Mapping[str, Any] = shadow.parameters or {}
            fields = flatten(our_payload(parameters), strict=strict)
            found.append(CallMade(fields if not shadow.error else {"error": shadow.error}, label, at_s))
    return found


def calls_of_history(files: Iterable[Path], *, since_ms: int | None) -> list[CallMade]:
    """Return the calls that succeeded in a task history, or all in a log of recorded requests.

    Raises:
        BadHistory: a file cannot be read.
    """
    found = []
    for number, run in enumerate(read_history(files), 1):
        if since_ms is not None and run.at_s is not None and run.at_s * 1000 < since_ms:
            continue
        request = recorded_request(run.row)
        if request is not None:
            found.append(CallMade(flatten(request, strict=True), f"request {number}", run.at_s))
        elif run.succeeded:
            found.append(CallMade(flatten(_inputs(run), strict=False), _label(run, number), run.at_s))
    return found


def _inputs(run: Run) -> object:
    """Return what a step was given: the column that holds it, or all columns that are not about the run."""
    by_name = {_plain(key): value for key, value in run.row.items()}
    for name in _INPUTS:
        value = by_name.get(name.replace("_", " "))
        parsed = _parsed(value)
        if isinstance(parsed, dict | list):
            return parsed
    return {key: value for key, value in run.row.items() if key and _plain(key) not in _ABOUT}


def _plain(name: object) -> str:
    return str(name).strip().lower().replace("_", " ")


def _parsed(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return None


def _label(run: Run, number: int) -> str:
    id_ = next((run.row[name] for name in _RUN_IDS if run.row.get(name)), "")
    return f"run {id_ or number}"
