"""``headrace sources``, and what ``verify``, ``try`` and ``check`` know of the optional parts of schemes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import ingest.schemes
from headrace.cli import main
from headrace.sending import Shipment
from tests.ingest.conftest import make_source, signed_request

ENV = {"MEADOW": "a secret", "TOKEN": "t", "GITHUB_NEW": "new", "GITHUB_OLD": "", "GITHUB_OLD_FILE": ""}
TABLE = """
version: 1
ingest: {public_url: "https://hooks.example.com"}
sources:
  meadow: {scheme: meadow, secret_env: MEADOW, verify_token_env: TOKEN}
  github: {scheme: github, secret_env: [GITHUB_NEW, GITHUB_OLD], keep_headers: [x-kept]}
  plain: {scheme: none, allow_unsigned: true, event_id: "{{ body.n }}", public_url: "https://other.example.com/in"}
destinations: {out: {connector: log}}
routes: [{name: all, source: meadow, to: out, action: write, with: {message: "{{ body.id }}"}}]
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    examples = Path(__file__).parents[1] / "ingest" / "example_schemes"
    monkeypatch.setattr(ingest.schemes, "__path__", [*ingest.schemes.__path__, str(examples)])
    path = tmp_path / "headrace.yaml"
    path.write_text(TABLE)
    return path


def run(config: Path, *args: str, stdin: str | None = None, env: dict[str, str] | None = None) -> Result:
    arguments = ["--config", str(config), "--data-dir", str(config.parent / "data"), *args]
    return CliRunner().invoke(main, arguments, input=stdin, env={**ENV, **(env or {})})


def test_an_item_of_a_batch_without_an_id_is_known_by_the_batch_and_its_place(config: Path) -> None:
    config.write_text(
        "version: 1\nsources: {mail: {scheme: mandrill, secret_env: MEADOW, public_url: https://a.example}}\n"
    )
    _, mail, *_ = run(config, "sources").stdout.splitlines()
    assert re.split(r"  +", mail)[3] == "the batch's SHA-256 and the place in it"
    assert json.loads(run(config, "sources", "--json").stdout.splitlines()[0])["batches"]


def test_sources_is_a_table(config: Path) -> None:
    result = run(config, "sources")
    assert result.exit_code == 0, result.output
    heading, meadow, github, plain, *_ = result.stdout.splitlines()
    cells = [re.split(r"  +", row) for row in (heading, meadow, github, plain)]
    base = "https://hooks.example.com/webhook"
    assert cells == [
        ["SOURCE", "SCHEME", "WEBHOOK", "EVENT ID", "RETRIES", "ANSWER", "SECRET"],
        ["meadow", "meadow", f"{base}/meadow", "body[].id", "1 h", "5 s", "MEADOW set, TOKEN set"],
        [
            "github",
            "github",
            f"{base}/github",
            "X-GitHub-Delivery",
            "3 d",
            "10 s",
            "GITHUB_NEW set, GITHUB_OLD not set",
        ],
        ["plain", "none", "https://other.example.com/in", "{{ body.n }}", "unknown", "unknown", "none"],
    ]
    assert len({row.index(cell) for row, cell in ((heading, "SECRET"), (meadow, "MEADOW"), (github, "GITHUB_N"))}) == 1
    assert "x-kept" in result.stdout
    assert "a secret" not in result.output


def test_sources_as_json_says_more(config: Path) -> None:
    rows = {row["source"]: row for row in map(json.loads, run(config, "sources", "--json").stdout.splitlines())}
    assert rows["meadow"]["methods"] == ["GET", "POST"]
    assert rows["meadow"]["timestamp_tolerance_s"] == 60
    assert rows["github"]["secrets"] == {"GITHUB_NEW": "set", "GITHUB_OLD": "not set"}
    assert rows["github"]["path"] == "/webhook/github"


def test_check_asks_for_the_secrets_of_options_and_warns_of_addresses_that_nobody_set(config: Path) -> None:
    missing = run(config, "check", "--env", env={"TOKEN": "", "GITHUB_OLD": "x"})
    assert missing.exit_code == 2
    assert "sources.meadow.verify_token_env: the secret TOKEN is not set" in missing.stderr
    assert "signs the address" not in missing.stderr
    config.write_text(TABLE.replace("ingest:", "# ingest:"))
    warned = run(config, "check")
    assert warned.exit_code == 0
    assert "meadow signs the address it calls" in warned.stderr


def row_of(body: bytes, **more: object) -> str:
    request = signed_request(make_source("meadow", verify_token_env=None), body)
    headers = [[name.decode(), value.decode()] for name, value in request.headers]
    row = {"url": request.url, "headers": headers, "body": body.decode(), "at": 1_700_000_000, **more}
    return json.dumps(row)


def verdict(config: Path, row: str, *args: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(config, "verify", "-", "--source", "meadow", *args, stdin=row).stdout)
    return found


def test_verify_knows_addresses_batches_certificates_and_gets(config: Path, tmp_path: Path) -> None:
    body = b'[{"id": "a", "type": "x"}, {"id": 2}]'
    assert verdict(config, row_of(body, document="certificate")) == {
        "valid": True,
        "reason": None,
        "event_id": None,
        "event_type": None,
        "events": [{"event_id": "a", "event_type": "x"}, {"event_id": "2", "event_type": "webhook"}],
    }
    certificate = tmp_path / "certificate"
    certificate.write_text("certificate")
    assert verdict(config, row_of(body), "--document", str(certificate))["valid"]
    assert "certificates.meadow.example/1.pem" in verdict(config, row_of(body))["reason"]
    signed = json.loads(row_of(body))["url"]
    whole = row_of(body, document="certificate", url=f"https://hooks.example.com{signed}")
    assert verdict(config, whole)["valid"]
    assert not verdict(config, row_of(body, document="certificate", url=f"https://other.example.com{signed}"))["valid"]
    for token, valid in (("t", True), ("x", False)):
        row = json.dumps({"method": "GET", "url": f"/webhook/meadow?token={token}&challenge=c"})
        assert verdict(config, row)["valid"] is valid


def test_try_shows_each_event_of_a_batch(config: Path) -> None:
    result = run(config, "try", "meadow", "-", stdin='[{"id": "a"}, {"id": "b"}]')
    assert result.exit_code == 0, result.output
    assert [line for line in result.stdout.splitlines() if line.startswith("event ")] == [
        "event a of type webhook, source meadow",
        "event b of type webhook, source meadow",
    ]
    lines = run(config, "try", "meadow", "-", "--json", stdin='[{"id": "a"}, {"id": "b"}]').stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    assert [(row["event_id"], row["parameters"]) for row in rows] == [("a", {"message": "a"}), ("b", {"message": "b"})]
    assert "empty batch" in run(config, "try", "meadow", "-", stdin="[]").stdout
    assert "handshake" in run(config, "try", "meadow", "-", stdin='{"type": "ping", "nonce": "n"}').stdout


def test_a_shipment_signs_the_address_and_puts_its_id_into_a_batch(config: Path) -> None:
    source = make_source("meadow")
    shipment = Shipment(source, "http://127.0.0.1:8080/webhook/meadow", event_id="n-1")
    request = shipment.request_with("n-1", now_s=1_700_000_000)
    source.verify(request, now_s=1_700_000_000, document=b"certificate")
    assert json.loads(request.body) == [{"id": "n-1", "type": "cow.milked"}]
    assert request.url.startswith("/webhook/meadow?signature=")
    assert request.public_url.startswith("https://hooks.example.com/webhook/meadow?")
