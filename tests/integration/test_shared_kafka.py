"""The Kafka of a test run: one for all processes, there as long as one of them lives, whatever ended the others."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from streams.kafka import wait_for_kafka
from tests.harness import processes_with, wait_until
from tests.shared_kafka import shared_kafka

_USER = """
import pathlib, sys
from tests.shared_kafka import shared_kafka
with shared_kafka(pathlib.Path(sys.argv[1])) as kafka:
    print(kafka.bootstrap_servers, flush=True)
    sys.stdin.read()
"""


def _start_user(directory: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _USER, str(directory)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _servers(user: subprocess.Popen[str]) -> str:
    assert user.stdout is not None
    return user.stdout.readline().strip()


def test_is_shared_outlives_the_one_that_started_it_and_ends_after_the_last(tmp_path: Path) -> None:
    users = [_start_user(tmp_path), _start_user(tmp_path)]
    try:
        first, second = map(_servers, users)
        assert first == second
        users[0].kill()
        users[0].wait()
        with shared_kafka(tmp_path) as kafka:
            assert kafka.bootstrap_servers == first
            asyncio.run(wait_for_kafka(kafka.settings()))
        users[1].kill()
        users[1].wait()
        wait_until(lambda: not processes_with(f"{tmp_path}/kafka-"), 60)
    finally:
        for user in users:
            user.kill()
            user.wait()
