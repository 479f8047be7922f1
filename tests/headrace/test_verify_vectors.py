"""``headrace verify`` on every vector that providers published or their libraries made."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from headrace.cli import main
from ingest.scheme import load_scheme
from ingest.signature import InvalidSignature
from streams.event import UNTYPED
from tests.ingest.vectors import Vector, read_vectors


def can_be_given(vector: Vector) -> bool:
    """Return whether the command can be given it: no NUL in a variable, and a certificate from where it may be had."""
    scheme = load_scheme(vector.scheme)
    needs = scheme.needs(scheme.options_model(**vector.options))
    try:
        if needs is not None:
            needs(vector.request)
    except InvalidSignature:
        return False
    return b"\0" not in vector.secret


VECTORS = [vector for vector in read_vectors() if can_be_given(vector)]


def command_and_row(vector: Vector) -> tuple[list[str], dict[str, str], dict[str, object]]:
    request, needs_secret = vector.request, load_scheme(vector.scheme).needs_secret
    options = {**vector.options, **{key: key.upper() for key in vector.option_secrets}}
    env = {key.upper(): value.decode() for key, value in vector.option_secrets.items()}
    if needs_secret:
        env["SECRET"] = vector.secret.decode()
    row: dict[str, object] = {
        "method": request.method,
        "url": request.public_url or request.url,
        "headers": [[name.decode(), value.decode()] for name, value in request.headers],
        "body_b64": base64.b64encode(request.body).decode(),
        "at": vector.at_s,
    }
    if vector.document is not None:
        row["document"] = vector.document.decode()
    secret = ["--secret-env", "SECRET"] if needs_secret else []
    given = [word for key, value in options.items() for word in ("--option", f"{key}={value}")]
    return ["--scheme", vector.scheme, *secret, *given], env, row


def verdicts(arguments: list[str], env: dict[str, str], rows: list[dict[str, object]]) -> tuple[int, list[Any]]:
    lines = "\n".join(map(json.dumps, rows))
    result = CliRunner().invoke(main, ["verify", "-", *arguments], input=lines, env=env)
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector.scheme}-{vector.number}")
def test_a_vector_is_valid_and_what_was_changed_is_not(
    vector: Vector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # no routing table is needed
    arguments, env, row = command_and_row(vector)
    scheme = load_scheme(vector.scheme)
    changed = {**row, "headers": [["content-type", "application/json"]], "body_b64": base64.b64encode(b"{}").decode()}
    code, (good, bad) = verdicts(arguments, env, [row, changed])
    assert code == 1
    assert (good["valid"], bad["valid"]) == (True, False)
    if not vector.malformed and scheme.signed:
        known = good["events"][0] if "events" in good else good
        assert good["reason"] is None
        assert known["event_type"] in (vector.event_type, UNTYPED)
        assert vector.event_id is None or known["event_id"] == vector.event_id


def test_a_certificate_that_is_missing_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, env, row = command_and_row(read_vectors("paypal")[0])
    del row["document"]
    _, (verdict,) = verdicts(arguments, env, [row])
    assert "the document at https://api.sandbox.paypal.com/v1/notifications/certs/" in verdict["reason"]
    row["headers"] = []
    assert verdicts(arguments, env, [row])[1][0]["reason"] == "the header paypal-cert-url is missing"
