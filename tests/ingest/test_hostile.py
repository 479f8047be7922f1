"""Hostile requests to a real ingest process over raw sockets: each is answered as stated, and harms nothing.

There is no Kafka: what is accepted goes to the spool, which is read at the end.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.child import die_with_parent
from ingest.spool_store import SpoolStore
from tests.harness import free_ports
from tests.ingest.hostile_cases import SECRET, Case, cases, http

CASES = list(cases())
TABLE = """
version: 1
ingest: {spool: {disk_free_bytes_min: 0}}
sources:
  open: {scheme: none, allow_unsigned: true, keep_headers: [x-kept]}
  ids: {scheme: none, allow_unsigned: true, event_id: "{{ body.id }}"}
  signed: {scheme: github, secret_env: SIGNED_SECRET}
"""
ANSWER_S_MAX = 30.0
MEMORY_MIB_MAX = 120  # beyond what it has before the first request: bodies of 1 MiB, and what RocksDB buffers


class Target:
    """The process, and what is known of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "headrace.yaml").write_text(TABLE)
        self.port = free_ports(2)
        self.log = directory / "ingest.log"
        arguments = ["--host", "127.0.0.1", "--port", str(self.port), "--admin-port", str(self.port + 1)]
        environment = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "SIGNED_SECRET": SECRET}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [str(Path(sys.executable).with_name("headrace")), "ingest", *arguments],
                cwd=directory,
                env={**os.environ, **environment},
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent(),
            )
        deadline_s = time.monotonic() + 60
        while not self._accepts():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline_s, self.log.read_text()
            time.sleep(0.1)
        self.memory_before_mib = self.memory_mib("VmRSS")

    def _accepts(self) -> bool:
        try:
            return self.send(http(("Content-Type", "application/json")))[0] == 200
        except OSError:
            return False

    def memory_mib(self, field: str) -> float:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.split(f"{field}:")[1].split()[0]) / 1024

    def send(self, sent: bytes, *, ends: bool = False) -> tuple[int | None, dict[str, str], bytes]:
        """Return status, headers and body of the first answer, ``None`` for the status if there was none."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_S_MAX) as sock:
            try:
                sock.sendall(sent)
                if ends:
                    sock.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError):
                pass  # refused while it was sent: the answer is there to be read
            return read_answer(sock, bodiless=sent.startswith(b"HEAD "))

    def read_spool(self) -> Iterator[tuple[str, str, str]]:
        """Yield id, content type and kept headers of all that was accepted; the process must have ended."""
        store = SpoolStore(self.directory / ".headrace" / "spool" / "0")
        after: bytes | None = None
        while entries := store.read(after, events_max=1000, bytes_max=10**8):
            for entry in entries:
                assert entry.event is not None
                yield entry.event.id, entry.event.content_type, "".join(entry.event.headers.values())
            after = entries[-1].key
        store.close()


def read_answer(sock: socket.socket, *, bodiless: bool = False) -> tuple[int | None, dict[str, str], bytes]:
    received = b""
    while True:
        head, end, body = received.partition(b"\r\n\r\n")
        if end and head.startswith(b"HTTP/1.1 100"):
            received = body
            continue
        if end:
            lines = head.decode("latin-1").split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines[1:])
            status, length = int(lines[0].split()[1]), int(headers["content-length"])
            if bodiless or len(body) >= length:
                return status, headers, body[:length]
        try:
            more = sock.recv(65536)
        except ConnectionResetError:
            more = b""
        if not more:
            assert not end or head.startswith(b"HTTP/1."), received[:200]
            return (int(head.split()[1]), {}, body) if end else (None, {}, received)
        received += more


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    found = Target(tmp_path_factory.mktemp("hostile"))
    yield found
    found.process.kill()
    found.process.wait()


def test_there_are_enough_cases_and_each_has_its_name() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 150


@pytest.mark.parametrize("case", CASES, ids=[re.sub(r"[^ -~]", "?", case.name) for case in CASES])
def test_a_hostile_request_is_answered_as_stated_and_harms_nothing(target: Target, case: Case) -> None:
    status, headers, body = target.send(case.sent, ends=case.ends)
    assert (status or 0) in case.statuses, body
    if status is None:
        assert body == b""
    else:
        assert headers.get("content-type") == "application/json"
        if status >= 400 and body:
            answer = json.loads(body)
            assert set(answer) == {"error", "detail"}
            assert len(body) < 300  # nothing of the request is shown
    assert target.send(http(("Content-Type", "application/json")))[0] == 200
    assert target.process.poll() is None


def test_afterwards_nothing_is_logged_nor_kept_that_should_not_be(target: Target) -> None:
    grown_mib = target.memory_mib("VmHWM") - target.memory_before_mib
    print(f"memory: {target.memory_before_mib:.0f} MiB before, at most {grown_mib:.0f} MiB more")
    assert grown_mib < MEMORY_MIB_MAX
    target.process.terminate()
    assert target.process.wait(30) == 0
    log = target.log.read_text()
    assert "Traceback" not in log
    assert "unexpected_error" not in log
    assert SECRET not in log
    accepted = list(target.read_spool())
    assert accepted
    for _, content_type, kept in accepted:
        assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f]", content_type + kept)
