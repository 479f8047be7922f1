"""A YAML document whose every value knows its line.

Scalars are read as JSON would (``true``, ``null``, ``12``, ``1.5``); anything else is a string, so that ``no``,
``12:30``, ``0123`` and ``2026-01-02`` stay what was written. Anchors, aliases and ``<<`` work.

The events of libyaml are folded here, with bounds on depth and size: PyYAML's own composer recurses in C, and a file of
nested brackets ends the process.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from headrace.mistakes import ConfigError, Keys, Mistake, written

BYTES_MAX = 4 * 1024 * 1024
DEPTH_MAX = 64
VALUES_MAX = 200_000  # aliases counted as what they stand for
NUMBER_CHARS_MAX = 40  # longer is an identifier, and int() is quadratic

_TAGS = frozenset({"!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"})
_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?", re.ASCII)
_WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None} | {
    word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")
}


@dataclass(slots=True)
class Node:
    """A value and its line. ``content`` is a scalar, a list of nodes, or a dict of nodes."""

    line: int
    content: object
    size: int = 1  # values in it, itself included
    key_lines: dict[str, int] = field(default_factory=dict)

    def plain(self) -> object:
        """Return the value without lines."""
        if isinstance(self.content, dict):
            return {key: node.plain() for key, node in self.content.items()}
        if isinstance(self.content, list):
            return [node.plain() for node in self.content]
        return self.content

    def line_of(self, keys: Keys) -> int:
        """Return the line of the value at ``keys``, or of the innermost part of the way there that exists."""
        node, line = self, self.line
        for key in keys:
            if isinstance(node.content, dict) and key in node.content:
                line, node = node.key_lines[str(key)], node.content[key]
            elif isinstance(node.content, list) and isinstance(key, int) and key < len(node.content):
                node = node.content[key]
                line = node.line
            else:
                break
        return line


def read_document(path: Path) -> tuple[Node, list[Mistake]]:
    """Return the file's document and the mistakes that do not keep it from being read, such as a key given twice.

    Raises:
        ConfigError: there is no such file, or it is not YAML within the bounds of this module.
    """
    fold = _Fold()
    try:
        text = _read_text(path)
        node = fold.document(yaml.parse(text, Loader=_Loader))
    except _Unreadable as error:
        raise ConfigError(path, [Mistake(error.line, "", str(error), error.suggestion), *fold.mistakes]) from error
    except yaml.YAMLError as error:
        raise ConfigError(path, [_syntax_mistake(error), *fold.mistakes]) from error
    return node, fold.mistakes


class _Unreadable(Exception):
    def __init__(self, message: str, line: int = 0, suggestion: str = "") -> None:
        super().__init__(message)
        self.line = line
        self.suggestion = suggestion


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(BYTES_MAX + 1)
    except FileNotFoundError as error:
        raise _Unreadable("there is no such file", suggestion="name the routing table with --config") from error
    except OSError as error:
        raise _Unreadable(f"the file cannot be read: {error.strerror}") from error
    if len(raw) > BYTES_MAX:
        raise _Unreadable(f"the file is larger than {BYTES_MAX} bytes")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Unreadable("the file is not UTF-8", raw.count(b"\n", 0, error.start) + 1) from error


def _syntax_mistake(error: yaml.YAMLError) -> Mistake:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
    suggestion = ""
    if "cannot start any token" in problem:
        suggestion = "indent with spaces, not tabs, and quote a value that begins with one of @ ` % {{"
    elif "mapping values are not allowed" in problem:
        suggestion = "quote a value that holds ': '"
    elif "{" in problem or "flow" in (getattr(error, "context", None) or ""):
        suggestion = 'quote a value that begins with {{, as in "{{ body.id }}"'
    return Mistake(mark.line + 1 if mark else 0, "", f"not valid YAML: {problem}", suggestion)


class _Fold:
    """Folds parser events into nodes."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self._anchors: dict[str, Node] = {}

    def document(self, events: Iterator[Any]) -> Node:
        root: Node | None = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None and event.start_mark is not None:
                    raise _Unreadable("the file holds more than one document", event.start_mark.line + 1)
                root = self._node(next(events), events, ())
        if root is None:
            raise _Unreadable("the file is empty", suggestion="begin with 'version: 1'")
        return root

    def _node(self, event: Any, events: Iterator[Any], at: Keys) -> Node:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise _Unreadable(f"the alias *{event.anchor} stands for nothing that was named before it", line)
            return self._anchors[event.anchor]
        if len(at) > DEPTH_MAX:
            raise _Unreadable(f"values are nested more than {DEPTH_MAX} deep", line)
        if (event.tag or "!") not in _TAGS:
            self._mistake(line, at, f"the tag {event.tag!r} is not supported")
        if isinstance(event, yaml.ScalarEvent):
            node = Node(line, _scalar(event))
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._list(line, events, at)
        else:
            node = self._mapping(line, events, at)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _list(self, line: int, events: Iterator[Any], at: Keys) -> Node:
        items: list[Node] = []
        size = 1
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            items.append(self._node(event, events, (*at, len(items))))
            size = self._grown(size, items[-1], line)
        return Node(line, items, size)

    def _mapping(self, line: int, events: Iterator[Any], at: Keys) -> Node:
        own: dict[str, Node] = {}
        lines: dict[str, int] = {}
        merged: list[Node] = []
        size = 1
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key_line = event.start_mark.line + 1
            key = self._key(event, events, at)
            node = self._node(next(events), events, (*at, key))
            size = self._grown(size, node, line)
            if key == "<<":
                merged += self._merge_sources(node, at)
            elif key in own:
                self._mistake(key_line, (*at, key), f"the key is given twice (first on line {lines[key]})")
            else:
                own[key], lines[key] = node, key_line
        for node in merged:
            for key, value in node.content.items():  # type: ignore[attr-defined]  # a mapping: _merge_sources
                if key not in own:
                    own[key], lines[key] = value, node.key_lines[key]
        return Node(line, own, size, lines)

    def _key(self, event: Any, events: Iterator[Any], at: Keys) -> str:
        if isinstance(event, yaml.ScalarEvent):
            return str(event.value)
        node = self._node(event, events, (*at, "?"))
        if isinstance(event, yaml.AliasEvent) and isinstance(node.content, str):
            return node.content
        self._mistake(event.start_mark.line + 1, at, "a key must be a plain name", "quote a value that begins with {{")
        return "?"

    def _merge_sources(self, node: Node, at: Keys) -> list[Node]:
        nodes = node.content if isinstance(node.content, list) else [node]
        mappings = [found for found in nodes if isinstance(found.content, dict)]
        if len(mappings) != len(nodes):
            self._mistake(node.line, (*at, "<<"), "must be a mapping or a list of mappings")
        return mappings

    def _grown(self, size: int, node: Node, line: int) -> int:
        size += node.size
        if size > VALUES_MAX:
            raise _Unreadable(f"the document holds more than {VALUES_MAX} values, aliases written out", line)
        return size

    def _mistake(self, line: int, at: Keys, message: str, suggestion: str = "") -> None:
        self.mistakes.append(Mistake(line, written(at), message, suggestion))


def _scalar(event: Any) -> object:
    if event.style or event.tag:
        return event.value
    if event.value in _WORDS:
        return _WORDS[event.value]
    number = _JSON_NUMBER.fullmatch(event.value)
    if number is None or len(event.value) > NUMBER_CHARS_MAX:
        return event.value
    if not (number[2] or number[3]):
        return int(event.value)
    value = float(event.value)
    return value if math.isfinite(value) else event.value
