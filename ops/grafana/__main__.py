"""Write the dashboards, or with ``--check`` say whether the files are what the code makes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from ops.grafana import cost, deliveries, ingest, kafka_and_worker, overview

PAGES = (overview.PAGE, ingest.PAGE, deliveries.PAGE, kafka_and_worker.PAGE, cost.PAGE)
DIRECTORY = Path(__file__).with_name("dashboards")


def rendered() -> dict[str, str]:
    """Return the text of each file, by its name."""
    return {
        page.file_name: json.dumps(page.build(), cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        for page in PAGES
    }


def differences(directory: Path = DIRECTORY) -> list[str]:
    """Return the names of files that are not what the code makes: changed, missing, or made by nothing."""
    wanted = rendered()
    found = {path.name: path.read_text() for path in directory.glob("*.json")}
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def main(arguments: list[str]) -> int:
    """Write or check; return the exit code."""
    if arguments == ["--check"]:
        stale = differences()
        for name in stale:
            sys.stderr.write(f"ops/grafana/dashboards/{name} is not what the code makes: run make dashboards\n")
        return 1 if stale else 0
    for name, text in rendered().items():
        (DIRECTORY / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
