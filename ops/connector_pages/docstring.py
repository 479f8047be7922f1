"""What docstrings of connectors and actions say, in parts, as Markdown."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field

_SECTION = re.compile(r"^(Returns|Raises):$", re.MULTILINE)
_EXAMPLE = re.compile(r"^Example::\n\n((?: {4}.*\n?|\n)+)", re.MULTILINE)
_SOURCE = re.compile(r"^Source: ((?:.+\n?)+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Said:
    """A docstring's parts: paragraphs, what is returned, and the errors by their class."""

    text: str
    returns: str = ""
    raises: dict[str, str] = field(default_factory=dict)
    example: str = ""
    source: str = ""


def read_docstring(doc: str | None) -> Said:
    """Return the parts of a docstring as it stands in the code."""
    text = inspect.cleandoc(doc or "")
    example = _EXAMPLE.search(text + "\n")
    text = _EXAMPLE.sub("", text + "\n").strip()
    source = _SOURCE.search(text)
    text = _SOURCE.sub("", text).strip()
    pieces = _SECTION.split(text)
    sections = dict(zip(pieces[1::2], pieces[2::2], strict=True))
    return Said(
        text=markdown(pieces[0].strip()),
        returns=_joined(sections.get("Returns", "")),
        raises=_raises(sections.get("Raises", "")),
        example=inspect.cleandoc(example[1]) if example else "",
        source=" ".join(source[1].split()) if source else "",
    )


def markdown(text: str) -> str:
    """Return a docstring's text with its code marked as Markdown marks it."""
    return text.replace("``", "`")


def _joined(section: str) -> str:
    return markdown(" ".join(section.split()))


def _raises(section: str) -> dict[str, str]:
    """Return each class, or list of classes, and its condition: a line at the first level, and those under it."""
    found: dict[str, str] = {}
    name = ""
    for line in inspect.cleandoc(section).splitlines():
        head = re.match(r"^([A-Z]\w+(?:, [A-Z]\w+)*): (.*)$", line)
        if head:
            name = head[1]
            found[name] = head[2]
        elif name:
            found[name] += " " + line.strip()
    return {key: markdown(" ".join(value.split())) for key, value in found.items()}
