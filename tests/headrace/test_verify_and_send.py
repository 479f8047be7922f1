"""``headrace verify`` and ``headrace send``, as commands."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from prometheus_client import CollectorRegistry

from headrace.cli import main
from headrace.sending import SPOOLED, Shipment
from ingest.metrics import IngestMetrics
from ingest.server import IngestServer
from streams.event import Event, Receipt
from tests.harness import github_headers
from tests.ingest.conftest import make_source

ENV = {"SECRET": "a secret", "STANDARD": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
TABLE = """
version: 1
sources:
  github: {scheme: github, secret_env: SECRET}
  orders: {scheme: hmac, secret_env: SECRET, event_id: "{{ body.order.id }}"}
  stripe: {scheme: stripe, secret_env: SECRET}
  slack: {scheme: slack, secret_env: SECRET}
  shopify: {scheme: shopify, secret_env: SECRET}
  standard: {scheme: standard, secret_env: STANDARD}
  plain: {scheme: none, allow_unsigned: true}
destinations: {out: {connector: log}}
routes: [{name: all, source: "*", to: out, action: write, with: {message: hello}}]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "headrace.yaml"
    path.write_text(TABLE)
    return path


def run(config: Path, *args: str, stdin: bytes | None = None, env: dict[str, str] | None = None) -> Result:
    arguments = ["--config", str(config), "--data-dir", str(config.parent / "data"), *args]
    return CliRunner().invoke(main, arguments, input=stdin, env={**ENV, **(env or {})})


def verify(config: Path, rows: list[object], *args: str) -> tuple[int, list[dict[str, Any]]]:
    lines = b"\n".join(row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows)
    result = run(config, "verify", "-", *args, stdin=lines)
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()]


def captured(body: bytes, delivery: str = "d-1", **more: object) -> dict[str, object]:
    headers = github_headers(body, ENV["SECRET"], delivery)
    return {"method": "POST", "url": "/webhook/github", "headers": headers, "body": body.decode(), **more}


def test_verify_accepts_what_was_signed(config: Path) -> None:
    code, verdicts = verify(config, [captured(b'{"a": 1}')], "--source", "github")
    assert (code, verdicts) == (0, [{"valid": True, "reason": None, "event_id": "d-1", "event_type": "push"}])
    row = captured(b'{"a": 1}')
    del row["body"]
    row["body_b64"] = base64.b64encode(b'{"a": 1}').decode()
    assert verify(config, [row], "--scheme", "github", "--secret-env", "SECRET")[0] == 0


def test_verify_says_why_each_row_is_refused(config: Path) -> None:
    rows: list[object] = [
        captured(b"{}"),
        {**captured(b"{}"), "body": "{ }"},
        {**captured(b"{}"), "headers": {}},
        b"not json",
        b"[1]",
        b'{"headers": 7}',
        b'{"headers": {"a": 7}}',
        b'{"headers": [["a"]]}',
        b'{"body": {"a": 1}}',
        b'{"body_b64": "###"}',
        b'{"body": "a", "body_b64": "YQ=="}',
        b'{"at": "yesterday"}',
        b'{"at": true}',
        b'{"method": 1}',
        b"\xff\xfe",
    ]
    code, verdicts = verify(config, rows, "--source", "github")
    assert code == 1
    assert [verdict["valid"] for verdict in verdicts] == [True] + [False] * (len(rows) - 1)
    assert all(verdict["reason"] for verdict in verdicts[1:])
    assert "does not match" in verdicts[1]["reason"]
    assert "missing" in verdicts[2]["reason"]


def test_verify_checks_at_the_time_of_the_row(config: Path) -> None:
    source = make_source("slack", secrets=[b"a secret"])
    headers = dict(source.sign(b"{}", secret=b"a secret", now_s=1000.0, event_id=""))
    row = {"method": "POST", "url": "/", "headers": list(headers.items()), "body": "{}"}
    code, verdicts = verify(config, [{**row, "at": 1001}, {**row, "at": 1e300}, row], "--source", "slack")
    assert (code, [verdict["valid"] for verdict in verdicts]) == (1, [True, False, False])
    assert "old" in verdicts[1]["reason"]


def test_verify_names_what_else_is_wrong_with_a_signed_request(config: Path) -> None:
    code, (verdict,) = verify(config, [captured(b"not json")], "--source", "github")
    assert (code, verdict["valid"], verdict["event_id"]) == (0, True, "d-1")
    assert "JSON" in verdict["reason"]


def test_verify_takes_options_of_a_scheme(config: Path) -> None:
    source = make_source("hmac", secrets=[b"a secret"], header="X-Sig", algorithm="sha512", encoding="base64")
    headers = dict(source.sign(b"{}", secret=b"a secret", now_s=0, event_id=""))
    row: object = {"headers": headers, "body": "{}"}
    options = ["--option", "header=X-Sig", "--option", "algorithm=sha512", "--option", "encoding=base64"]
    assert verify(config, [row], "--scheme", "hmac", "--secret-env", "SECRET", *options)[0] == 0
    assert verify(config, [row], "--scheme", "hmac", "--secret-env", "SECRET")[0] == 1


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("--source", "github", "--scheme", "github"),
        ("--source", "nobody"),
        ("--scheme", "nobody", "--secret-env", "SECRET"),
        ("--scheme", "github"),
        ("--scheme", "hmac", "--secret-env", "SECRET", "--option", "algorithm=md5"),
        ("--scheme", "hmac", "--secret-env", "SECRET", "--option", "header"),
        ("--scheme", "github", "--secret-env", "SECRET", "--option", "colour=red"),
    ],
)
def test_verify_used_wrongly_ends_with_2(config: Path, args: tuple[str, ...]) -> None:
    assert run(config, "verify", "-", *args, stdin=b"{}").exit_code == 2


def test_a_secret_that_is_not_set_ends_with_1_and_one_line(config: Path) -> None:
    result = run(config, "verify", "-", "--source", "github", stdin=b"{}", env={"SECRET": ""})
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "SECRET" in result.stderr


@pytest.fixture
def port() -> Iterator[tuple[int, list[Event]]]:
    """A real ingest server in a thread, with every source, whose log is a list."""
    events: list[Event] = []
    sock = socket.create_server(("127.0.0.1", 0))
    stop: asyncio.Event = asyncio.Event()
    loop = asyncio.new_event_loop()

    async def keep(event: Event) -> Receipt | None:
        events.append(event)
        return Receipt(event.source, 0, len(events) - 1) if event.id != "spooled" else None

    async def serve() -> None:
        names = ("github", "stripe", "slack", "shopify", "standard")
        sources = {name: make_source(name, secrets=[_secret(name)]) for name in names}
        sources["orders"] = make_source("hmac", "orders", secrets=[b"a secret"], event_id="{{ body.order.id }}")
        sources["plain"] = make_source("none", "plain")
        async with IngestServer(sources, keep, IngestMetrics(CollectorRegistry())).listen(sock):
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    yield sock.getsockname()[1], events
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    with contextlib.suppress(RuntimeError):
        loop.close()


def _secret(name: str) -> bytes:
    return ENV["STANDARD" if name == "standard" else "SECRET"].encode()


Port = tuple[int, list[Event]]


@pytest.mark.parametrize("source", ["github", "orders", "stripe", "slack", "shopify", "standard", "plain"])
def test_send_alone_sends_a_sample_with_a_fresh_id(config: Path, port: Port, source: str) -> None:
    number, events = port
    url = f"http://127.0.0.1:{number}"
    for expected in (f"{source}/0/0\n", f"{source}/0/1\n"):
        result = run(config, "send", source, "--url", url)
        assert (result.exit_code, result.stdout) == (0, expected), result.output
    assert events[0].dedup_id != events[1].dedup_id


@pytest.mark.parametrize("source", ["github", "orders", "stripe", "slack", "shopify", "standard"])
def test_send_gives_each_of_many_its_own_id(config: Path, port: Port, source: str) -> None:
    number, events = port
    file = config.parent / "body.json"
    file.write_text('{"keep": "me"}')
    address = f"http://127.0.0.1:{number}/webhook/{source}"
    result = run(config, "send", source, str(file), "--count", "3", "--id", "n", "--url", address)
    assert result.exit_code == 0, result.output
    assert len(result.stdout.split()) == 3
    assert {event.id for event in events} == {"n-1", "n-2", "n-3"}
    assert all(b"me" in event.body for event in events)


def test_send_sends_a_file_as_it_is(config: Path, port: Port) -> None:
    number, events = port
    body = b'{ "order": {"id":  7} }'
    result = run(config, "send", "orders", "-", "--url", f"http://127.0.0.1:{number}", stdin=body)
    assert result.exit_code == 0, result.output
    assert (events[0].body, events[0].id) == (body, "7")


def test_send_says_that_the_spool_has_the_event(config: Path, port: Port) -> None:
    result = run(config, "send", "github", "--id", "spooled", "--url", f"http://127.0.0.1:{port[0]}")
    assert (result.exit_code, result.stdout) == (0, f"{SPOOLED} spooled\n"), result.output


def test_send_keeps_to_its_rate() -> None:
    shipment = Shipment(make_source("github"), "http://x", count=3)
    assert len(set(shipment.ids())) == 3
    assert json.loads(shipment.body_with("i-1"))["ref"] == "refs/heads/main"


def test_send_ends_with_1_and_one_line_when_refused_or_alone(config: Path, port: Port) -> None:
    number, _ = port
    refused = run(config, "send", "github", "--url", f"http://127.0.0.1:{number}", env={"SECRET": "another"})
    assert refused.exit_code == 1
    assert "401 invalid_signature" in refused.stderr
    nobody = run(config, "send", "github", "--count", "5", "--url", "http://127.0.0.1:1")
    assert nobody.exit_code == 1
    for result in (refused, nobody):
        said = [line for line in result.stderr.splitlines() if '"logger":"ingest"' not in line]  # it runs in here
        assert len(said) == 1
        assert "Traceback" not in result.output


@pytest.mark.parametrize("args", [("nobody",), ("github", "--url", "ftp://x"), ("github", "--rate", "fast")])
def test_send_used_wrongly_ends_with_2(config: Path, args: tuple[str, ...]) -> None:
    assert run(config, "send", *args).exit_code == 2
