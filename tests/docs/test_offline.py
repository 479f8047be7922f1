"""The commands of pages that need neither Kafka nor a network print what the pages say."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from headrace.cli import main
from tests.docs.blocks import blocks_of
from tests.docs.test_tables import table_around
from tests.headrace.zapier.exports import export, hook, post, zap


def types(script: str, directory: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", **variables}
    return subprocess.run(
        ["bash", "-c", script], cwd=directory, env=environ, capture_output=True, text=True, timeout=60
    )


def test_testing_a_routing_table(tmp_path: Path) -> None:
    page = "how-to/test-a-routing-table.md"
    (table,), (script,), (shown,) = (blocks_of(page, language) for language in ("yaml", "sh", "text"))
    (tmp_path / "headrace.yaml").write_text(table.text)
    done = types(script.text, tmp_path)
    assert done.stdout == shown.text
    assert done.returncode == 1


def test_asking_why_a_request_is_refused(tmp_path: Path) -> None:
    (block,) = (one for one in blocks_of("how-to/add-a-source.md", "sh") if "headrace verify" in one.text)
    cat, row, verify, answer = block.text.splitlines()
    assert cat == "$ cat captured.jsonl"
    (tmp_path / "captured.jsonl").write_text(f"{row}\n")
    source, *_ = blocks_of("how-to/add-a-source.md", "yaml")
    (tmp_path / "headrace.yaml").write_text(f"version: 1\n{source.text}")
    done = types(verify.removeprefix("$ "), tmp_path, STRIPE_WEBHOOK_SECRET="whsec")
    assert done.stdout.splitlines() == [answer]
    assert done.returncode == 1


def test_importing_from_zapier(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("Zapfile.json", json.dumps(export(zap(1, "Orders", hook(), post(2, 1)))))
    done = types(blocks_of("migrate-from-zapier.md", "sh")[0].text, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "headrace.yaml is valid: 1 source" in done.stdout


def test_taking_over_from_zapier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shadow, step = blocks_of("migrate-from-zapier.md", "yaml")
    route = shadow.text.partition("routes:\n")[2]
    table = table_around({"routes": [{"name": "x", "source": "stripe", "to": "crm"}]})
    head = "".join(f"{key}: {json.dumps(table[key])}\n" for key in ("version", "sources", "destinations"))
    path = tmp_path / "headrace.yaml"
    path.write_text(f"{head}routes:\n{route}")
    forward, _back = blocks_of("migrate-from-zapier.md", "sh")[2].text.splitlines()
    assert forward.startswith("headrace zapier cutover paid-invoice-to-crm ")
    done = CliRunner().invoke(main, ["zapier", "cutover", "paid-invoice-to-crm"])
    assert done.exit_code == 0, done.output
    assert "10 % of events accepted from" in done.output
    (written,) = (line for line in path.read_text().splitlines() if "mode:" in line)
    shape = step.text.partition('"')[0].strip()
    assert written.strip().startswith(shape)  # mode: [{from: "…
    assert CliRunner().invoke(main, ["check"]).exit_code == 0
