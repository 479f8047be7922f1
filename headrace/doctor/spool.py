"""Whether the spool can do what it is there for: room on its disk, and nothing in it that no process works on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from headrace.doctor.finding import Finding, ok, warning
from headrace.ingest_spool import DIRECTORY
from ingest.settings import SpoolSettings
from ingest.spool_place import claim_orphans

_MIB = 1024 * 1024


def spool_findings(data_dir: Path, chosen: SpoolSettings | None) -> Iterator[Finding]:
    """Yield what is to say of a spool in ``data_dir``; ``chosen`` is ``None`` where the table has none."""
    place = data_dir / DIRECTORY
    # A claim that is given back at once: a process that starts just now takes the next place, and adopts this one.
    orphans = list(claim_orphans(place)) if os.access(place, os.W_OK) else []
    for orphan in orphans:
        orphan.release()
    if orphans and chosen is None:
        names = ", ".join(orphan.path.name for orphan in orphans)
        advice = "set ingest.spool: true and start ingest until headrace_ingest_spool_events is 0"
        yield warning("spool", f"{place} holds spools ({names}), and ingest.spool is off: they may hold events", advice)
    if chosen is None:
        return
    where = data_dir if data_dir.exists() else Path.cwd()
    room = shutil.disk_usage(where).free - chosen.disk_free_bytes_min
    found = f"up to {chosen.events_max} events and {chosen.bytes_max // _MIB} MiB in {place}"
    if room < chosen.bytes_max:
        advice = "free some space, or lower ingest.spool.bytes_max or disk_free_bytes_min"
        yield warning("spool", f"{found}, but the disk has room for {max(0, room) // _MIB} MiB", advice)
    else:
        yield ok("spool", found)
