"""Settings: where Kafka is, what new topics get, and where secrets come from."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.context import SecretError, SettingError, Settings
from headrace.secrets import read_secret, resolve


def test_kafka_is_where_it_was_said_to_be(tmp_path: Path) -> None:
    assert Settings(data_dir=tmp_path, kafka_bootstrap_servers="k:1").bootstrap_servers == "k:1"


def test_kafka_is_else_the_embedded_one_of_the_data_directory(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert settings.bootstrap_servers == "127.0.0.1:9092"
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "port").write_text("19092\n")
    assert settings.bootstrap_servers == "127.0.0.1:19092"
    (tmp_path / "kafka" / "port").write_text("garbage")
    assert settings.bootstrap_servers == "127.0.0.1:9092"


def test_records_have_room_for_the_largest_body(tmp_path: Path) -> None:
    path = tmp_path / "headrace.yaml"
    path.write_text("version: 1\nsources: {a: {scheme: none, allow_unsigned: true, body_bytes_max: 5000000}}\n")
    settings = Settings(config_path=path, data_dir=tmp_path)
    before = settings.kafka().record_bytes_max
    table = settings.table()
    assert settings.kafka().record_bytes_max == settings.kafka(table).record_bytes_max > 5_000_000 > before


def test_numbers_come_from_the_environment() -> None:
    settings = Settings(environ={"HEADRACE_PARTITIONS": "3", "HEADRACE_MIN_INSYNC_REPLICAS": "1"})
    assert (settings.partitions, settings.min_insync_replicas, settings.replication_factor) == (3, 1, None)
    for text in ("0", "-1", "٣", "1e3", "9" * 30):
        with pytest.raises(SettingError, match="HEADRACE_PARTITIONS"):
            _ = Settings(environ={"HEADRACE_PARTITIONS": text}).partitions


def test_a_secret_is_read_from_the_environment_then_a_file_then_the_data_directory(tmp_path: Path) -> None:
    (tmp_path / "secrets.env").write_text("# made up\n\nexport A=from-data-dir\nB = b=c \n")
    (tmp_path / "a").write_text("from-file\n")
    environ = {"A_FILE": str(tmp_path / "a"), "A": "from-environment"}
    assert Settings(data_dir=tmp_path, environ=environ).secret("A") == "from-environment"
    del environ["A"]
    assert Settings(data_dir=tmp_path, environ=environ).secret("A") == "from-file"
    settings = Settings(data_dir=tmp_path, environ={"A": ""})
    assert (settings.secret("A"), settings.secret("B"), settings.secret("C")) == ("from-data-dir", "b=c", None)


def test_every_missing_secret_is_named_and_none_is_shown() -> None:
    with pytest.raises(SecretError, match=r"^B, C are not set") as caught:
        resolve(["A", "B", "C"], {"A": "the-secret"})
    assert "the-secret" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"x" * 100_000])
def test_a_file_that_holds_no_secret_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(SecretError, match="A_FILE"):
        read_secret("A", {"A_FILE": str(tmp_path / "a")})


def test_a_secret_file_that_is_missing_is_an_error_and_not_a_missing_secret(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(SecretError, match="A_FILE"):
            read_secret("A", {"A_FILE": str(path)})
    (tmp_path / "secrets.env").mkdir()
    with pytest.raises(SecretError, match="cannot be read"):
        Settings(data_dir=tmp_path, environ={}).secret("A")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (os.mkfifo, "a pipe, which can be read but once"),
        (os.mkdir, "a directory"),
        (lambda path: os.symlink("/dev/zero", path), "a device"),
        (lambda path: os.symlink("/dev/tty", path), "a device"),
    ],
)
def test_a_secret_file_that_is_no_regular_file_is_refused_and_not_waited_for(
    tmp_path: Path, make: Callable[[Path], None], said: str
) -> None:
    path = tmp_path / "a"
    make(path)
    expected = f"the file that A_FILE names cannot be read: {path}: it must be a regular file, and is {said}"
    with pytest.raises(SecretError) as caught:
        read_secret("A", {"A_FILE": str(path)})
    assert str(caught.value) == expected
    environ = {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_CA_FILE": str(path)}
    assert expected.replace("A_FILE", "KAFKA_SSL_CA_FILE") in Settings(environ=environ).kafka_mistakes()


def test_a_secret_file_may_be_a_link_to_a_link_as_kubernetes_makes_them(tmp_path: Path) -> None:
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "a").write_text("the secret\n")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "a").symlink_to("..data/a")
    assert read_secret("A", {"A_FILE": str(tmp_path / "a")}) == "the secret"
