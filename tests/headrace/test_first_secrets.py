"""The secrets that `headrace run` makes up."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from headrace.context import Settings
from headrace.first_secrets import generate_missing
from headrace.secrets import SecretError

TABLE = """\
version: 1
sources:
  github: {scheme: github, secret_env: GITHUB_WEBHOOK_SECRET}
  orders: {scheme: hmac, secret_env: ORDERS_SECRET, event_id: "{{ body.id }}"}
  rotating: {scheme: hmac, secret_env: [NEW_SECRET, OLD_SECRET], event_id: "{{ body.id }}"}
destinations: {}
routes: []
"""


def _settings(tmp_path: Path, **environ: str) -> Settings:
    (tmp_path / "headrace.yaml").write_text(TABLE)
    return Settings(config_path=tmp_path / "headrace.yaml", data_dir=tmp_path, environ=environ)


def test_makes_up_what_is_set_nowhere_and_keeps_it(tmp_path: Path) -> None:
    settings = _settings(tmp_path, ORDERS_SECRET="set", OLD_SECRET="set")
    assert generate_missing(settings, settings.table()) == ["GITHUB_WEBHOOK_SECRET"]
    path = tmp_path / "secrets.env"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = _settings(tmp_path, ORDERS_SECRET="set", OLD_SECRET="set")
    made_up = again.secret("GITHUB_WEBHOOK_SECRET")
    assert made_up is not None
    assert len(made_up) == 64
    assert generate_missing(again, again.table()) == []
    assert again.secret("NEW_SECRET") is None  # half of a rotation is a mistake to report, not to paper over


def test_keeps_what_the_file_holds(tmp_path: Path) -> None:
    (tmp_path / "secrets.env").write_text("ORDERS_SECRET=mine\n")
    settings = _settings(tmp_path, OLD_SECRET="set", NEW_SECRET="set")
    assert generate_missing(settings, settings.table()) == ["GITHUB_WEBHOOK_SECRET"]
    assert _settings(tmp_path).secret("ORDERS_SECRET") == "mine"


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    settings.data_dir = tmp_path / "missing"
    with pytest.raises(SecretError, match="cannot be written"):
        generate_missing(settings, settings.table())
