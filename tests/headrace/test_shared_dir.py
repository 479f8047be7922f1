"""What the processes of one ingest share lies in memory: a full disk would end them by SIGBUS."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from headrace.shared_dir import PREFIX, cleared_at_logout, shared_dir


@pytest.fixture(autouse=True)
def _kept_at_logout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a user whose files nobody removes, whoever runs the tests."""
    monkeypatch.setattr("headrace.shared_dir.cleared_at_logout", lambda uid: False)


def test_it_is_in_memory_and_its_owners_alone_and_gone_afterwards(tmp_path: Path) -> None:
    memory, data_dir = tmp_path / "shm", tmp_path / "data"
    memory.mkdir()
    with shared_dir(data_dir, memory=memory, free_bytes_min=1) as path:
        assert path.parent == memory
        assert path.stat().st_mode & 0o777 == 0o700
        (path / "counter_1.db").write_bytes(b"x")
    assert list(memory.iterdir()) == list(data_dir.iterdir()) == []


def test_without_memory_or_room_in_it_the_data_directory_serves(tmp_path: Path) -> None:
    data_dir = tmp_path / "new" / "data"
    with shared_dir(data_dir, memory=tmp_path / "absent") as path:
        assert path.parent == data_dir
    with shared_dir(data_dir, memory=tmp_path, free_bytes_min=2**62) as path:
        assert path.parent == data_dir


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys; from headrace.shared_dir import shared_dir; place = pathlib.Path(sys.argv[1])\n"
        "with shared_dir(place / 'data', memory=place, free_bytes_min=1) as path: print(path); os._exit(9)"
    )
    ended = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)
    left = Path(ended.stdout.strip())
    assert left.is_dir(), ended.stderr
    others = [tmp_path / f"{PREFIX}about-to-be-used", tmp_path / "headrace-x"]
    for directory in others:
        directory.mkdir()
    with shared_dir(tmp_path / "data", memory=tmp_path, free_bytes_min=1) as used:
        assert not left.exists()
        with shared_dir(tmp_path / "data", memory=tmp_path, free_bytes_min=1):
            assert all(directory.is_dir() for directory in (used, *others))


@pytest.mark.parametrize(
    ("uid", "cleared"), [(0, False), (999, False), (1000, True), (61183, True), (61184, False), (65520, True)]
)
def test_what_a_logout_would_remove_is_not_in_memory(tmp_path: Path, uid: int, cleared: bool) -> None:
    assert cleared_at_logout(uid, logind=tmp_path) is cleared
    assert cleared_at_logout(uid, logind=tmp_path / "absent") is False


def test_of_a_user_who_logs_out_it_is_in_the_data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.shared_dir.cleared_at_logout", lambda uid: True)
    with shared_dir(tmp_path / "data", memory=tmp_path, free_bytes_min=1) as path:
        assert path.parent == tmp_path / "data"
