"""One Kafka for all processes of a test run: the first that needs it starts it, and it ends after the last of them.

The count of its users is the kernel's: each holds the writing end of a named pipe, and the keeper, the process that
owns the Kafka, reads that pipe to its end, which comes however the users ended, kill -9 included.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from headrace.broker import EmbeddedKafka
from tests.harness import KafkaForTests

_READY = "ready"
START_S_MAX = 240.0  # on a machine that does other things too


@contextmanager
def shared_kafka(directory: Path) -> Iterator[KafkaForTests]:
    """Give the Kafka of this ``directory`` to one more user. Leave it running: it is nobody's own."""
    directory.mkdir(parents=True, exist_ok=True)
    with _locked(directory):
        pipe = _join(directory)
        data_dir, port = (directory / "kafka").read_text().splitlines()
    try:
        yield KafkaForTests(EmbeddedKafka(Path(data_dir), int(port)))  # not started: a handle on the keeper's
    finally:
        os.close(pipe)


def _join(directory: Path) -> int:
    with suppress(OSError):  # ENOENT: nobody was here, or the last has left; ENXIO: the keeper was killed
        return os.open(directory / "users", os.O_WRONLY | os.O_NONBLOCK)
    (directory / "users").unlink(missing_ok=True)
    os.mkfifo(directory / "users")
    first = os.open(directory / "users", os.O_RDWR)  # so that the keeper has a user from its first moment on
    try:
        _start_keeper(directory)
        return os.open(directory / "users", os.O_WRONLY | os.O_NONBLOCK)
    finally:
        os.close(first)


def _start_keeper(directory: Path) -> None:
    log = directory / "keeper.log"
    with log.open("ab") as errors:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "tests.shared_kafka", str(directory)],
            cwd=Path(__file__).parent.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # Ctrl-C is for the tests, which may still need it
        )
    assert keeper.stdout is not None
    with keeper.stdout as printed:
        ready = printed.readline().strip() == _READY
    assert ready, f"the Kafka that all tests share did not start: {log.read_text()[-3000:]}"
    keeper.returncode = 0  # never waited for: it outlives this process


def _keep(directory: Path) -> None:
    data_dir = tempfile.mkdtemp(prefix="kafka-", dir=directory)  # one that was killed may still have the last
    kafka = EmbeddedKafka(Path(data_dir))
    users = os.open(directory / "users", os.O_RDONLY)
    asyncio.run(kafka.start(timeout_s=START_S_MAX))
    (directory / "kafka").write_text(f"{data_dir}\n{kafka.port}\n")
    print(_READY, flush=True)
    while not _left_for_good(directory, users):
        pass
    asyncio.run(kafka.stop())


def _left_for_good(directory: Path, users: int) -> bool:
    os.set_blocking(users, True)
    os.read(users, 1)  # nobody writes: it returns at the end of the last user
    with _locked(directory):
        os.set_blocking(users, False)
        try:
            os.read(users, 1)
        except BlockingIOError:  # somebody came in between
            return False
        (directory / "users").unlink()
        return True


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    _keep(Path(sys.argv[1]))
