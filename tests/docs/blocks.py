"""The fenced blocks of README and docs: the scripts among them, and every line of those."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHELL = ("sh", "bash", "console")
_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block; ``line`` is where it begins."""

    page: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def commands(self) -> Iterator[list[str]]:
        """Yield the words of each simple command, without comments, pipes and redirections."""
        joined = self.text.replace("\\\n", " ")
        for line in joined.splitlines():
            line = line.removeprefix("$ ")  # a session, with what it prints beneath each command
            lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
            lexer.whitespace_split = True
            words: list[str] = []
            try:
                for word in lexer:
                    if set(word) <= set("|&;"):
                        if words:
                            yield words
                        words = []
                    else:
                        words.append(word)
            except ValueError:  # a quote over several lines: bash has checked it
                continue
            if words:
                yield words


def pages() -> list[Path]:
    """Return every page that tells people what to type."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(*languages: str) -> list[Block]:
    """Return every block of every page in one of the languages; without any, the scripts."""
    texts = [(page, page.read_text()) for page in pages()]
    return [
        Block(page, text.count("\n", 0, match.start()) + 2, textwrap.dedent(match[3]))
        for page, text in texts
        for match in _BLOCK.finditer(text)
        if match[2] in (languages or SHELL)
    ]


def blocks_of(name: str, *languages: str) -> list[Block]:
    """Return the blocks of one page, such as ``how-to/erase-events.md``."""
    found = [block for block in blocks(*languages) if str(block.page).endswith(f"/{name}")]
    assert found, f"{name} has no such block"
    return found
