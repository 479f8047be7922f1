"""Zapier's export: a ZIP that holds ``Zapfile.json``, or that file alone, read as loosely as versions of it vary.

A Zap is a tree of steps (``nodes``): each names its parent, and Paths are where a step has several children. Anything
may be missing or of another type; what cannot be read at all is counted, not a reason to stop.

Source: help.zapier.com, "Export and import Zaps"; the form is documented nowhere, so names are matched loosely.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

JSON_BYTES_MAX = 256 * 1024 * 1024
STEPS_MAX = 10_000  # of one Zap

_VERSION = re.compile(r"@.*$", re.DOTALL)
_SUFFIX = re.compile(r"(?:v?[0-9]+)?(?:cli|dev|dotnet)?api$")


class BadExport(Exception):
    """The file is no export of Zapier; says why."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step. ``app`` is the app's plain name, as ``slack`` of ``SlackCLIAPI@1.2.3``; ids are texts."""

    id: str
    app: str
    action: str
    title: str
    params: Mapping[str, Any]
    parent: str | None
    authentication: str | None
    paused: bool
    reads: bool


@dataclass(frozen=True, slots=True)
class Zap:
    """One Zap: its steps by id, in the file's order."""

    id: str
    title: str
    on: bool
    steps: Mapping[str, Step]

    @property
    def trigger(self) -> Step | None:
        """The step that has no parent and reads; the first without a parent, if none of them is said to read."""
        roots = [step for step in self.steps.values() if step.parent is None or step.parent not in self.steps]
        return next((step for step in roots if step.reads), roots[0] if roots else None)

    def children(self, step: Step) -> list[Step]:
        """Return the steps that follow ``step``, in the file's order."""
        return [child for child in self.steps.values() if child.parent == step.id and child.id != step.id]

    def walk(self) -> Iterator[tuple[Step, ...]]:
        """Yield the way from the trigger to each step after it, that step last; a cycle is cut."""
        start = self.trigger
        stack: list[tuple[Step, ...]] = [(start,)] if start is not None else []
        seen: set[str] = set()
        while stack:
            way = stack.pop()
            if way[-1].id in seen:
                continue
            seen.add(way[-1].id)
            if len(way) > 1:
                yield way
            stack.extend((*way, child) for child in reversed(self.children(way[-1])))


@dataclass(frozen=True, slots=True)
class Export:
    """All Zaps of a file; ``unreadable`` counts entries that are none."""

    zaps: list[Zap]
    unreadable: int = 0
    version: str = field(default="")


def read_export(path: Path) -> Export:
    """Return what ``path`` holds.

    Raises:
        BadExport: it is neither such a ZIP nor such a JSON file.
    """
    try:
        document = json.loads(_json_bytes(path).decode("utf-8-sig", "replace"))
    except RecursionError:
        raise BadExport(f"{path} holds no JSON that can be read: it is nested too deep") from None
    except ValueError as error:
        raise BadExport(f"{path} holds no JSON that can be read: {error}") from None
    if isinstance(document, dict) and isinstance(document.get("zaps"), list):
        entries, metadata = document["zaps"], document.get("metadata")
    elif isinstance(document, list):
        entries, metadata = document, None
    else:
        raise BadExport(f"{path} has no list of zaps: it is no export of Zapier")
    zaps = [_zap(number, entry) for number, entry in enumerate(entries, 1) if isinstance(entry, dict)]
    version = metadata.get("version") if isinstance(metadata, dict) else ""
    return Export(zaps, len(entries) - len(zaps), _text(version))


def _json_bytes(path: Path) -> bytes:
    try:
        if not zipfile.is_zipfile(path):
            if path.stat().st_size > JSON_BYTES_MAX:
                raise BadExport(f"{path} is larger than {JSON_BYTES_MAX} bytes")
            return path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            names = [info for info in archive.infolist() if info.filename.lower().endswith(".json")]
            names.sort(key=lambda info: "zapfile" not in info.filename.lower())
            if not names:
                raise BadExport(f"{path} holds no Zapfile.json")
            with archive.open(names[0]) as member:
                content = member.read(JSON_BYTES_MAX + 1)  # whatever the ZIP says that it inflates to
            if len(content) > JSON_BYTES_MAX:
                raise BadExport(f"{names[0].filename} in {path} is larger than {JSON_BYTES_MAX} bytes")
            return content
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
        raise BadExport(
            f"{path} cannot be read: {getattr(error, 'strerror', None) or error or 'it ends too early'}"
        ) from None


def _zap(number: int, entry: Mapping[str, Any]) -> Zap:
    found = entry.get("nodes", entry.get("steps"))
    if isinstance(found, dict):
        pairs = list(found.items())
    else:
        pairs = [(str(index), node) for index, node in enumerate(found)] if isinstance(found, list) else []
    steps: dict[str, Step] = {}
    for key, node in pairs[:STEPS_MAX]:
        if isinstance(node, dict):
            step = _step(_text(node.get("id")) or str(key), node)
            steps.setdefault(step.id, step)
    status = entry.get("status", entry.get("state", "on"))
    on = status is True or _text(status).lower() in ("on", "enabled", "active", "true", "live", "published")
    return Zap(_text(entry.get("id")) or str(number), _text(entry.get("title")), on, steps)


def _step(id_: str, node: Mapping[str, Any]) -> Step:
    params = node.get("params")
    parent = node.get("parent_id")
    return Step(
        id=id_,
        app=app_name(_text(node.get("selected_api"))),
        action=_text(node.get("action")).lower(),
        title=_text(node.get("title")),
        params=params if isinstance(params, dict) else {},
        parent=None if parent is None else _text(parent),
        authentication=_text(node.get("authentication_id")) or None,
        paused=node.get("paused") is True,
        reads=_text(node.get("type_of")).lower() in ("read", "trigger"),
    )


def app_name(selected_api: str) -> str:
    """Return the plain name of an app: ``googlesheets`` of ``GoogleSheetsV2CLIAPI@2.4.0``."""
    name = re.sub(r"[^a-z0-9]", "", _VERSION.sub("", selected_api).lower())
    return _SUFFIX.sub("", name) or name


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None or isinstance(value, dict | list) else str(value)
