"""The commands of README and docs: every line of every block that is fenced with ``sh``."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(?:sh|bash|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)


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


def blocks() -> list[Block]:
    """Return every block of every page."""
    texts = [(page, page.read_text()) for page in pages()]
    return [
        Block(page, text.count("\n", 0, match.start()) + 2, match[1])
        for page, text in texts
        for match in _BLOCK.finditer(text)
    ]
