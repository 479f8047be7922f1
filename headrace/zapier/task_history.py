"""Zapier's task history, as its exports have it: CSV with a header line, JSON, or one JSON object a line.

Columns are matched loosely, for exports and versions of the interface name them differently.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

BYTES_MAX = 512 * 1024 * 1024

_ZAP = ("zap_title", "zap_name", "zap", "zap_id", "title", "name")
_WHEN = ("time", "timestamp", "date", "start_time", "started_at", "created_at", "run_time", "performed_at")
_STATUS = ("status", "state", "result")
_TASKS = ("tasks_used", "tasks", "task_count", "tasks_count")


class BadHistory(Exception):
    """The file is no task history; says why."""


@dataclass(frozen=True, slots=True)
class Run:
    """One row: which Zap, when (Unix seconds, ``None`` if unknown), how many tasks, and the row as it was."""

    zap: str
    at_s: float | None
    succeeded: bool
    tasks: int
    row: Mapping[str, Any]


def read_history(paths: Iterable[Path]) -> list[Run]:
    """Return every row of these files.

    Raises:
        BadHistory: one cannot be read, or has no column that names the Zap.
    """
    runs: list[Run] = []
    for path in paths:
        try:
            if path.stat().st_size > BYTES_MAX:
                raise BadHistory(f"{path} is larger than {BYTES_MAX} bytes")
            text = path.read_text(encoding="utf-8-sig", errors="replace")
        except OSError as error:
            raise BadHistory(f"{path} cannot be read: {error.strerror}") from None
        rows = list(_rows(text))
        if not rows:
            raise BadHistory(f"{path} holds no rows")
        runs += [_run(row) for row in rows]
    return runs


def tasks_a_month(runs: Iterable[Run]) -> dict[str, int]:
    """Return the tasks of each Zap in 30 days, at the pace of the time that the history covers."""
    totals: dict[str, int] = {}
    moments: list[float] = []
    for run in runs:
        totals[run.zap] = totals.get(run.zap, 0) + run.tasks
        if run.at_s is not None:
            moments.append(run.at_s)
    days = (max(moments) - min(moments)) / 86_400 if len(moments) > 1 else 0.0
    factor = 30 / days if days >= 1 else 1.0  # less than a day says nothing about a month
    return {zap: round(total * factor) for zap, total in totals.items()}


def _rows(text: str) -> Iterator[Mapping[str, Any]]:
    stripped = text.lstrip()
    if stripped.startswith(("[", "{")):
        try:
            document = json.loads(text)
        except ValueError:
            yield from _lines(text)
            return
        if isinstance(document, dict):
            lists = [value for value in document.values() if isinstance(value, list)]
            document = lists[0] if lists else [document]
        yield from (row for row in document if isinstance(row, dict))
        return
    try:
        yield from csv.DictReader(text.splitlines())
    except csv.Error as error:
        raise BadHistory(f"not CSV: {error}") from None


def _lines(text: str) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            raise BadHistory(f"line {number} is no JSON") from None
        if isinstance(row, dict):
            yield row


def _run(row: Mapping[str, Any]) -> Run:
    plain = {re.sub(r"[^a-z0-9]+", "_", str(key).lower()).strip("_"): value for key, value in row.items() if key}
    status = str(_first(plain, _STATUS) or "success").lower()
    succeeded = not re.search(r"err|fail|halt|stop|filter|held|skip", status)
    tasks = _first(plain, _TASKS)
    text = str(tasks).strip() if tasks is not None else ""
    count = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else int(succeeded)
    zap = _first(plain, _ZAP)
    if isinstance(zap, dict):
        zap = zap.get("title") or zap.get("id")
    return Run(str(zap or ""), _moment(_first(plain, _WHEN)), succeeded, count, row)


def _first(row: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)


def _moment(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value / 1000 if value > 1e11 else float(value)
    try:
        moment = datetime.fromisoformat(str(value).strip())
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
