"""A marker in every place where a credential can stand, destinations that say it back in every way: it is nowhere."""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from headrace.context import Settings
from headrace.topics import topic_specs
from streams.kafka import read_topic
from tests.harness import Answer, HeadraceProcess, Received, Receiver, eventually, free_port, github_headers
from tests.ledger import MakeSystem, System

KINDS = 7  # of events: the first is accepted, and each of the others fails in a way of its own
REFUSED = 7  # one more: 401 and 403 pause the destination


class Markers:
    """A secret for each place; what is looked for is its core, which no way of quoting changes."""

    def __init__(self) -> None:
        self.cores: dict[str, str] = {}

    def core(self, place: str) -> str:
        """Return a new core for ``place``."""
        return self.cores.setdefault(place, "Mk" + secrets.token_hex(11))

    def text(self, place: str) -> str:
        """Return a secret with characters that JSON and addresses write in another way."""
        return f'{self.core(place)}"/+&é%{self.core(place + " (its end)")}'

    def found_in(self, shown: bytes) -> dict[str, str]:
        """Return the places whose marker is in ``shown``, in whatever form, and what stands around it."""
        found = {}
        for place, core in self.cores.items():
            for form in forms(core):
                at = shown.find(form)
                if at >= 0:
                    found[place] = shown[max(0, at - 120) : at + 120].decode(errors="replace")
        return found


def forms(core: str) -> set[bytes]:
    """Return the marker plain, percent-encoded throughout, in hex, and in Base64 at any alignment."""
    raw = core.encode()
    base64_forms = set()
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw)
        # Without the characters at both ends, which hold bits of what stands beside it.
        base64_forms.add(encoded[4 if before else 0 : (before + len(raw)) // 3 * 4])
    percent = "".join(f"%{byte:02X}" for byte in raw)
    return {raw, percent.encode(), percent.lower().encode(), raw.hex().encode(), *base64_forms}


def test_a_marker_is_found_in_each_form() -> None:
    markers = Markers()
    secret = markers.text("here")
    core = markers.core("here")
    for shown in (
        secret,
        quote(secret, safe=""),
        json.dumps({"a": json.dumps(secret)}),
        secret.encode().hex(),
        *(base64.b64encode(f"{before}{secret}".encode()).decode() for before in ("", "u", "u:", "us:")),
        "".join(f"%{ord(letter):02x}" for letter in core),
    ):
        assert "here" in markers.found_in(f"before {shown} after".encode()), shown
    assert not markers.found_in(b"nothing of the kind")


def echo(call: Received) -> dict[str, Any]:
    """Return all that a service knows of a call, as careless ones say it."""
    headers = dict(call.headers)
    credentials = " ".join(value for name, value in headers.items() if re.search("auth|key", name, re.IGNORECASE))
    body = call.body.decode(errors="replace")
    return {
        "error": f"refused {credentials} at {call.path}",
        "message": f"{call.path} {credentials} {body}",
        "ok": False,
        "headers": headers,
        "body": body,
        "encoded": base64.b64encode(f"{call.path} {credentials}".encode()).decode(),
        "quoted": quote(credentials, safe=""),
    }


def answer(call: Received, earlier: int) -> Answer:
    """Fail as the number in the body says, and say back what came."""
    said = echo(call)
    body = json.dumps(said).encode()
    number = re.search(rb"n[^0-9a-z]+([0-7])\b", call.body)
    kind = int(number[1]) if number else 1
    told = {"X-Echo": said["quoted"], "Content-Type": "application/json"}
    return (
        Answer(200, body=json.dumps({**said, "ok": True, "ts": said["error"], "id": said["error"]}).encode()),
        Answer(422, body=body, headers=told),
        Answer(503, body=(body + b" " + call.path.encode()) * 5, headers=told),
        Answer(429, body=body, headers={**told, "Retry-After": "0"}),
        Answer(reset=True),
        Answer(302, body=body, headers={"Location": f"http://203.0.113.7{call.path}?{said['quoted']}"}),
        Answer(hang=True) if earlier == 0 else Answer(200, body=body[:-7], headers=told),
        Answer(403 if earlier else 401, body=body, headers=told),
    )[kind]


def destinations(receiver: Receiver, markers: Markers, env: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Return a destination for each way in which credentials are sent, their secrets in ``env``."""
    nobody = free_port()

    def secret(name: str, value: str | None = None) -> str:
        env[name] = markers.text(name) if value is None else value
        return name

    def core(name: str) -> str:
        return secret(name, markers.core(name))

    def address(name: str, path: str) -> str:
        return secret(name, f"{receiver.url}{path}/T0/{markers.core(name)}?k={markers.core(name + ' (query)')}")

    web = {"base_url": receiver.url}
    key = base64.b64encode(markers.core("signing key").encode()).decode()
    user = {"username": "headrace"}
    dsn = f"postgresql://headrace:{markers.core('database password')}@127.0.0.1:{nobody}/warehouse"
    return {
        "token": {"connector": "http", **web, "token_env": core("HTTP_TOKEN")},
        "basic": {"connector": "http", **web, **user, "password_env": secret("HTTP_PASSWORD")},
        "key": {"connector": "http", **web, "api_key_env": core("HTTP_KEY")},
        "key-in-query": {"connector": "http", **web, "api_key_query": "k", "api_key_env": secret("HTTP_QUERY_KEY")},
        "client": {
            "connector": "http", **web, "token_url": f"{receiver.url}/oauth/token", "client_id": "headrace",
            "client_secret_env": secret("CLIENT_SECRET"),
        },
        "client-refused": {
            "connector": "http", **web, "token_url": f"{receiver.url}/oauth/refused", "client_id": "headrace",
            "client_auth": "body", "client_secret_env": secret("REFUSED_CLIENT_SECRET"),
        },
        "webhook": {"connector": "webhook", **web, "secret_env": [secret("HOOK_SECRET", f"whsec_{key}")]},
        "slack": {"connector": "slack", **web, "token_env": core("SLACK_TOKEN"), "rate": "100/s"},
        "slack-webhook": {"connector": "slack_webhook", "url_env": address("SLACK_URL", "/services"), "rate": "100/s"},
        "zapier": {"connector": "zapier", "url_env": address("ZAPIER_URL", "/hooks/catch")},
        "telegram": {
            "connector": "telegram", **web, "token_env": secret("BOT", f"12345678:AA{markers.core('BOT')}xyz012345678"),
        },
        "database": {"connector": "postgres", "dsn_env": secret("DSN", dsn), "tls": "off"},
        "mail": {
            "connector": "email", "host": "127.0.0.1", "port": nobody, **user, "password_env": secret("SMTP_PASSWORD"),
            "sender": "a@example.com",
        },
        "cluster": {
            "connector": "kafka", "bootstrap_servers": f"127.0.0.1:{nobody}", **user,
            "password_env": secret("SASL_PASSWORD"),
        },
    }  # fmt: skip


ACTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "webhook": ("send", {"type": "test", "payload": {"n": "{{ body.n }}"}}),
    "slack": ("post_message", {"channel": "C1", "text": "n: {{ body.n }}"}),
    "slack-webhook": ("post_message", {"text": "n: {{ body.n }}"}),
    "zapier": ("trigger", {"payload": {"n": "{{ body.n }}"}}),
    "telegram": ("send_message", {"chat_id": "1", "text": "n: {{ body.n }}"}),
    "database": ("insert", {"table": "t", "row": {"n": "{{ body.n }}"}}),
    "mail": ("send", {"to": ["b@example.com"], "subject": "n", "text": "{{ body.n }}"}),
    "cluster": ("publish", {"topic": "t", "value": "{{ body.n }}"}),
}
REQUEST = ("request", {"method": "POST", "path": "/api", "json": {"n": "{{ body.n }}"}})


def prepare(system: System, receiver: Receiver, markers: Markers) -> None:
    """Write the routing table, and put every secret into the environment."""
    usual = {
        "timeout_s": 2,
        "retry": {"attempts": 2, "backoff_s": [0.05, 0.1]},
        "delays_s": [1],
        "circuit": {"failures": 1000, "open_s": 1},
    }
    made = destinations(receiver, markers, system.env)
    table = system.table
    table["destinations"] = {name: {**usual, **own} for name, own in made.items()}
    system.destinations = table["destinations"]
    system.env |= {
        "GITHUB_WEBHOOK_SECRET": markers.text("source"),
        "OLD_WEBHOOK_SECRET": markers.text("source, the old one"),
        "BEARER": markers.core("bearer token of a source"),
        "BASIC": f"user:{markers.text('password of a source')}",
        "MIRROR_URL": f"{receiver.url}/mirror/{markers.core('mirror')}",
    }
    table["sources"] = {
        "github": {"scheme": "github", "secret_env": ["GITHUB_WEBHOOK_SECRET", "OLD_WEBHOOK_SECRET"]},
        "alerts": {"scheme": "bearer", "secret_env": "BEARER", "keep_headers": ["x-note"]},
        "shop": {"scheme": "basic", "secret_env": "BASIC"},
    }
    table["routes"] = [
        {"name": f"to-{name}", "source": "github", "to": name, "action": action, "with": with_}
        for name, (action, with_) in ((name, ACTIONS.get(name, REQUEST)) for name in made)
    ]
    shadow = {"name": "shadow", "source": ["alerts", "shop"], "to": "token", "action": "request", "mode": "shadow"}
    mirror = {"url_env": "MIRROR_URL", "rate": "100/s"}
    table["routes"].append({**shadow, "with": {"path": "/shadow", "json": {"n": "{{ body.n }}"}}, "mirror": mirror})
    system.write_table()


async def post_events(system: System, markers: Markers, numbers: Iterable[int]) -> str:
    """Post events of these kinds to every source, and some that are refused; return the receipt of one."""
    receipt = ""
    urls = {name: system.url.replace("github", name) for name in system.table["sources"]}
    basic = base64.b64encode(system.env["BASIC"].encode()).decode()
    async with aiohttp.ClientSession() as session:

        async def post(source: str, body: bytes, headers: dict[str, str], query: str = "") -> tuple[int, str]:
            async with session.post(urls[source] + query, data=body, headers=headers) as got:
                return got.status, await got.text()

        for number in numbers:
            body = json.dumps({"n": number}).encode()
            signed = github_headers(body, system.env["GITHUB_WEBHOOK_SECRET"], f"e{number}")
            status, text = await post("github", body, signed)
            assert status == 200, text
            receipt = receipt or json.loads(text)["receipt"]
            sent = {"Content-Type": "application/json", "Authorization": f"Bearer {system.env['BEARER']}"}
            token = quote(system.env["BEARER"], safe="")
            assert (await post("alerts", body, sent, f"?token={token}&a=1"))[0] == 200
            assert (await post("shop", body, {**sent, "Authorization": f"Basic {basic}"}))[0] == 200
        # A credential in the wrong place, and one that is nearly right.
        texts = [
            await post("github", b"{}", {**signed, "X-Hub-Signature-256": system.env["BEARER"]}),
            await post("alerts", b"{", sent),
            await post("shop", b"{}", {"Authorization": f"Bearer {basic}"}),
            await post("alerts", b"{}", {"Authorization": f"Bearer {system.env['BEARER']}x"}),
        ]
    assert {status for status, _ in texts} == {400, 401}
    for _, text in texts:
        assert not markers.found_in(text.encode())
    return receipt


async def records(system: System) -> list[bytes]:
    """Return every record of every topic: key, value and headers, an encoded body decoded too."""
    settings = Settings(
        config_path=system.directory / "headrace.yaml",
        kafka_bootstrap_servers=system.kafka.bootstrap_servers,
        topic_prefix=system.settings.topic_prefix,
        environ=system.env,
    )
    found = []
    topics = [spec.name for spec in topic_specs(settings, settings.table())]
    assert {system.names.dead_letter, system.names.outcomes, system.names.shadow} <= set(topics)
    for topic in topics:
        async for record in read_topic(system.settings, topic):
            headers = b" ".join(name.encode() + b"=" + value for name, value in record.headers)
            found.append(b" ".join([topic.encode(), record.key or b"", record.value or b"", headers]))
    return found


async def shown_by_commands(system: System, start: Any, receipt: str, admin_ports: list[int]) -> list[HeadraceProcess]:
    """Run every command that shows something of what was done; return their processes."""
    directory = system.directory
    (directory / "event.json").write_text('{"n": 1}')
    (directory / "history.csv").write_text("id,zap,data\n1,z,{}\n")
    (directory / "history.jsonl").write_text('{"method":"POST","url":"http://a/shadow","headers":{},"body":"{}"}\n')
    letters = await system.letters()
    ports = [option for port in admin_ports for option in ("--admin-port", str(port))]
    commands = [
        ["dlq", "list"],
        ["dlq", "list", "--json"],
        *(["dlq", "show", letter.id, "--body"] for letter in letters[:3]),
        ["event", receipt, "--body"],
        ["try", "github", "event.json"],
        ["try", "alerts", "event.json", "--json", "--header", "x-note=1"],
        ["queue", "token", "list"],
        ["queue", "zapier", "list", "--json"],
        ["sources"],
        ["doctor", "--port", str(system.port), *ports],
        ["check", "--env"],
        ["topics", "--dry-run"],
        ["zapier", "parity", "--history", "history.jsonl", "--route", "shadow"],
    ]
    done = []
    for command in commands:
        process = start(*command, env=system.env, cwd=directory)
        code = await process.wait(60)
        assert code in (0, 1), process.tail()
        assert "Traceback" not in process.stderr, process.tail()
        assert process.stdout + process.stderr, command
        done.append(process)
    return done


async def test_no_secret_is_in_a_topic_a_log_a_metric_or_an_output(
    make_system: MakeSystem, receiver: Receiver, headrace_process: Any, tmp_path: Path
) -> None:
    markers = Markers()
    system = make_system(partitions=1)
    prepare(system, receiver, markers)
    token = markers.core("token that was fetched")
    receiver.answers["/"] = answer
    receiver.answers["/oauth/token"] = Answer(
        200, body=json.dumps({"access_token": token, "token_type": "Bearer", "expires_in": 3600}).encode()
    )
    receiver.answers["/oauth/refused"] = lambda call, earlier: Answer(400, body=json.dumps(echo(call)).encode())
    # At the most talkative level: what is secret there is secret at any.
    system.env["HEADRACE_LOG_LEVEL"] = "debug"
    ingest, worker = await system.start_ingest(processes=2), await system.worker()
    receipt = await post_events(system, markers, range(KINDS))
    reached = set(system.destinations) - {"database", "mail", "cluster", "client-refused"}

    async def all_have_letters() -> bool:
        letters = {letter.header("headrace-destination") for letter in await system.letters()}
        assert letters >= set(system.destinations) - {"client-refused"}, set(system.destinations) - letters
        return True

    await eventually(all_have_letters, 120)
    await post_events(system, markers, [REFUSED])

    async def all_paused() -> bool:
        page = (await system.admin(worker, "/metrics"))[1]
        going = {name for name in reached if f'headrace_destination_paused{{destination="{name}"}} 1.0' not in page}
        assert not going, going
        return True

    await eventually(all_paused, 90)
    # What was said back did come: it would be seen if it were not masked. A signing secret is not sent.
    failures = worker.logs("attempt_failed")
    assert {line["destination"] for line in failures} == {*system.destinations, "shadow.mirror"}
    told = {line["destination"] for line in failures if "***" in str(line.get("answer", ""))}
    assert told >= (reached | {"shadow.mirror"}) - {"webhook"}, reached - told
    pages = [(await system.admin(process, path))[1] for process in (ingest, worker) for path in ("/metrics", "/readyz")]
    commands = await shown_by_commands(
        system, headrace_process, receipt, [system.admin_ports[process.pid] for process in (ingest, worker)]
    )
    for process in (ingest, worker):
        assert await process.terminate(60) == 0
    places = {
        **{f"record {number}": record for number, record in enumerate(await records(system))},
        **{f"page {number}": page.encode() for number, page in enumerate(pages)},
        **{
            f"{' '.join(process.args[:3])} {stream}": getattr(process, stream).encode()
            for process in (ingest, worker, *commands)
            for stream in ("stdout", "stderr")
        },
    }
    leaks = {name: found for name, shown in places.items() if (found := markers.found_in(shown))}
    assert not leaks, json.dumps(leaks, indent=1)[:6000]
