"""``process_*`` of a parent and its children, against what the system says of real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.process_metrics import ProcessMetrics
from tests.harness import wait_until

BUSY = "import sys; sum(range(10**6)); print('up', flush=True); sys.stdin.read()"


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    """A process that has worked, and waits."""
    with subprocess.Popen([sys.executable, "-c", BUSY], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
        process.kill()


def values(metrics: ProcessMetrics) -> dict[str, float]:
    return {metric.name: metric.samples[0].value for metric in metrics.collect()}


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_one_process_is_itself() -> None:
    found = values(ProcessMetrics())
    assert found["process_open_fds"] == pytest.approx(len(os.listdir("/proc/self/fd")), abs=2)
    assert found["process_resident_memory_bytes"] == pytest.approx(resident_bytes(os.getpid()), rel=0.2)


def test_memory_is_added_up_and_files_are_of_the_fullest(child: subprocess.Popen[str]) -> None:
    both, own = values(ProcessMetrics(lambda: [os.getpid(), child.pid])), values(ProcessMetrics())
    together = resident_bytes(os.getpid()) + resident_bytes(child.pid)
    assert both["process_resident_memory_bytes"] == pytest.approx(together, rel=0.2)
    assert both["process_open_fds"] == pytest.approx(own["process_open_fds"], abs=2)
    assert both["process_max_fds"] == own["process_max_fds"]


def test_the_start_is_the_newest(child: subprocess.Popen[str]) -> None:
    """A child that was started again shows."""
    both = values(ProcessMetrics(lambda: [os.getpid(), child.pid]))
    assert (
        both["process_start_time_seconds"] == values(ProcessMetrics(lambda: [child.pid]))["process_start_time_seconds"]
    )
    assert both["process_start_time_seconds"] >= values(ProcessMetrics())["process_start_time_seconds"]


def test_the_time_of_a_process_that_has_ended_stays_counted(child: subprocess.Popen[str]) -> None:
    pids = [os.getpid(), child.pid]
    metrics = ProcessMetrics(lambda: pids)
    before = values(metrics)["process_cpu_seconds"]
    child.kill()
    child.wait(30)
    pids.remove(child.pid)
    assert values(metrics)["process_cpu_seconds"] >= before


def test_a_process_that_is_gone_is_left_out(child: subprocess.Popen[str]) -> None:
    """Between its end and the notice of it, its number is still among the ``pids``."""
    metrics = ProcessMetrics(lambda: [os.getpid(), child.pid])
    child.kill()
    child.wait(30)
    found = wait_until(lambda: values(metrics))
    assert found["process_resident_memory_bytes"] == pytest.approx(resident_bytes(os.getpid()), rel=0.2)


def test_the_share_of_open_files() -> None:
    metrics = ProcessMetrics()
    found = values(metrics)
    assert metrics.open_files_ratio() == pytest.approx(found["process_open_fds"] / found["process_max_fds"], rel=0.2)
    assert ProcessMetrics(list).open_files_ratio() == 0
