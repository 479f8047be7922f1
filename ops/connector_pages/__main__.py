"""Write the pages, or with ``--check`` say whether the files are what the code makes."""

from __future__ import annotations

import sys
from pathlib import Path

from connectors.registry import connector_names, load_connector
from ops.connector_pages.page import index_page, page_of
from ops.connector_pages.retries import retries_page

DOCS = Path(__file__).parents[2] / "docs"
CONNECTORS = "connectors"
REMAKE = "make connector-pages"


def rendered() -> dict[str, str]:
    """Return the text of each file, by its path under ``docs``."""
    connectors = [load_connector(name) for name in connector_names()]
    pages = {f"{CONNECTORS}/{connector.name}.md": page_of(connector) for connector in connectors}
    return {
        **pages,
        f"{CONNECTORS}/README.md": index_page(connectors),
        "reference/retries.md": retries_page(connectors),
    }


def differences(docs: Path = DOCS) -> list[str]:
    """Return the paths of files that are not what the code makes: changed, missing, or made by nothing."""
    wanted = rendered()
    found = {f"{CONNECTORS}/{path.name}" for path in (docs / CONNECTORS).glob("*.md")} | wanted.keys()
    return sorted(path for path in found if wanted.get(path) != _read(docs / path))


def _read(path: Path) -> str | None:
    return path.read_text() if path.is_file() else None


def main(arguments: list[str]) -> int:
    """Write or check; return the exit code."""
    if arguments == ["--check"]:
        stale = differences()
        for path in stale:
            sys.stderr.write(f"docs/{path} is not what the code makes: run {REMAKE}\n")
        return 1 if stale else 0
    (DOCS / CONNECTORS).mkdir(exist_ok=True)
    for path, text in rendered().items():
        (DOCS / path).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
