"""``python -m headrace.ingest_child``: one of several ingest processes, as its parent starts it.

The parent says everything in one argument, and has set ``PROMETHEUS_MULTIPROC_DIR`` in the environment: that must be
there before prometheus_client is imported, so it cannot be an option.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import structlog

from headrace import event_loop
from headrace.context import Settings
from headrace.failure import exit_code, sentence_of
from headrace.ingest_process import IngestOptions, run_child
from headrace.logs import configure_logs


def main(argument: str) -> int:
    """Serve as the parent says, and return the exit code."""
    told = json.loads(argument)
    shared = told["settings"]
    config_path, data_dir, base_dir = (Path(shared.pop(name)) for name in ("config_path", "data_dir", "base_dir"))
    settings = Settings(config_path, data_dir, base_dir=base_dir, **shared)
    settings.logs = configure_logs(log_format=settings.log_format, level=settings.log_level)
    try:
        return event_loop.run(run_child(settings, IngestOptions(**told["options"]), told["fd"]))
    except Exception as error:  # whatever it is, the parent starts another, and one line says why
        log = structlog.get_logger("ingest")
        log.error("ingest_failed", error=sentence_of(error))
        log.debug("ingest_failed_at", exc_info=True)
        return exit_code(error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
