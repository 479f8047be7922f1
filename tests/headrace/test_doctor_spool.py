from __future__ import annotations

from pathlib import Path

from headrace.doctor.spool import spool_findings
from ingest.settings import SpoolSettings
from ingest.spool_place import claim_first
from ingest.spool_store import SpoolStore


def test_a_spool_with_room_is_well_and_one_without_is_told(tmp_path: Path) -> None:
    (well,) = spool_findings(tmp_path, SpoolSettings(bytes_max=1, disk_free_bytes_min=0))
    assert (well.check, well.level) == ("spool", "ok")
    (full,) = spool_findings(tmp_path, SpoolSettings(bytes_max=1, disk_free_bytes_min=2**62))
    assert full.level == "warning"
    assert "room for 0 MiB" in full.message


def test_a_spool_that_was_turned_off_with_events_in_it_is_told(tmp_path: Path) -> None:
    assert list(spool_findings(tmp_path, None)) == []
    claim = claim_first(tmp_path / "spool")
    store = SpoolStore(claim.path)
    store.count()
    store.close()
    assert list(spool_findings(tmp_path, None)) == []  # a process has it
    claim.release()
    (found,) = spool_findings(tmp_path, None)
    assert found.level == "warning"
    assert "ingest.spool" in found.advice
