"""What the processes of one ingest share lies in memory: a full disk would end them by SIGBUS."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from headrace.shared_dir import PREFIX, shared_dir


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
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = tmp_path / f"{PREFIX}{gone.pid}-x"
    others = [tmp_path / f"{PREFIX}{os.getpid()}-x", tmp_path / "headrace-x", tmp_path / f"{PREFIX}x-y"]
    for directory in (left, *others):
        directory.mkdir()
    with shared_dir(tmp_path / "data", memory=tmp_path, free_bytes_min=1):
        assert not left.exists()
        assert all(other.is_dir() for other in others)
