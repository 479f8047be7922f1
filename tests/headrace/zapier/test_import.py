"""The import: what carries over and means the same, and that nothing crashes it or leaks out of it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from headrace.cli import main
from headrace.config import load_routing_table
from headrace.zapier.credentials import is_credential_name, looks_like_credential, redact
from headrace.zapier.export import BadExport, app_name, read_export
from tests.headrace.zapier.exports import (
    PLANTED,
    export,
    hook,
    hostile,
    node,
    post,
    rule,
    rules,
    with_credentials,
    zap,
)

BODY = {
    "type": "invoice.paid",
    "amount": 101.5,
    "currency": "eur",
    "customer": {"name": "Ada", "First Name": "Ada L."},
    "lines": [{"sku": "a"}, {"sku": "b"}],
    "created": "2026-03-01T09:30:00Z",
}


class Imported:
    """An import, and what the table that it wrote does with an event."""

    def __init__(self, directory: Path, document: Any) -> None:
        self.directory, self.table = directory, directory / "headrace.yaml"
        (directory / "Zapfile.json").write_text(json.dumps(document))
        self.result = run(
            "zapier", "import", str(directory / "Zapfile.json"), "-o", str(self.table), "--json", "--force"
        )
        assert self.result.exit_code == 0, self.result.output
        self.text = self.table.read_text()
        self.rows = [json.loads(line) for line in self.result.stdout.rstrip().split(chr(10))]
        load_routing_table(self.table)

    def matched(self, source: str, body: object = BODY) -> list[dict[str, Any]]:
        """Return the parameters of each route that takes an event with this body."""
        (self.directory / "event.json").write_text(json.dumps(body))
        tried = run("--config", str(self.table), "try", source, str(self.directory / "event.json"), "--json")
        rows = [json.loads(line) for line in tried.stdout.rstrip().split(chr(10))]
        assert "failed" not in [row["verdict"] for row in rows], rows
        return [row["parameters"] for row in rows if row["verdict"] == "matched"]


def run(*args: str) -> Result:
    return CliRunner().invoke(main, list(args), catch_exceptions=False)


@pytest.fixture
def imported(tmp_path: Path) -> Callable[..., Imported]:
    return lambda *zaps: Imported(tmp_path, export(*zaps))


def test_a_hook_and_a_call_carry_over(imported: Callable[..., Imported]) -> None:
    data = {"amount": "{{1__amount}}", "name": "Dear {{1__customer__First Name}}", "skus": "{{1__lines[]sku}}"}
    call = post(2, 1, "https://crm.example.com/api/{{1__customer__name}}/invoices?mode=live", data=data)
    found = imported(zap(1, "Paid invoice → CRM", hook(), call))
    assert [(row["result"], row["routes"]) for row in found.rows] == [("ready", ["paid-invoice-crm"])]
    (parameters,) = found.matched("paid-invoice-crm")
    assert parameters["path"] == "/api/Ada/invoices"
    assert parameters["query"] == {"mode": "live"}
    assert parameters["json"] == {"amount": 101.5, "name": "Dear Ada L.", "skus": "a,b"}


@pytest.mark.parametrize(
    ("criteria", "matches"),
    [
        ([rule("type", "exact", "invoice.paid")], True),
        ([rule("type", "not_exact", "invoice.paid")], False),
        ([rule("type", "exact", "invoice.paid"), rule("amount", "gt", "102")], False),
        ([rule("amount", "gt", "101"), rule("amount", "lt", 102)], True),
        ([rule("type", "icontains", "INVOICE")], True),
        ([rule("type", "(Text) Does not contain", "refund")], True),
        ([rule("type", "text_contains", "refund")], False),
        ([rule("type", "startswith", "invoice")], True),
        ([rule("type", "endswith", "paid")], True),
        ([rule("customer__name", "exists")], True),
        ([rule("customer__phone__mobile", "exists")], False),
        ([rule("missing__deep__down", "exact", "x")], False),
        ([rule("missing__deep__down", "not_exists")], True),
        ([rule("created", "datetime_after", "2026-01-01T00:00:00Z")], True),
        ([[rule("type", "exact", "a")], [rule("type", "exact", "invoice.paid")]], True),
        ([{**rule("type", "exact", "a"), "group": 1}, {**rule("currency", "exact", "eur"), "group": 2}], True),
        ([{**rule("type", "exact", "a"), "group": 1}, {**rule("currency", "exact", "eur"), "group": 1}], False),
        ([rule("type", "in", "invoice.open,invoice.paid")], True),
        ([rule("type", "exact", "{v} {x} \" ' {{")], False),
    ],
)
def test_filters_become_conditions(imported: Callable[..., Imported], criteria: list[Any], matches: bool) -> None:
    found = imported(zap(1, "Filtered", hook(), rules(2, 1, *criteria), post(3, 2, data={"a": "b"})))
    assert found.rows[0]["result"] == "ready"
    assert bool(found.matched("filtered")) is matches


def test_a_filter_that_cannot_be_read_is_never_dropped(imported: Callable[..., Imported]) -> None:
    """A route without its filter would do what nobody wanted."""
    for criteria in ([rule("type", "resembles", "x")], [], ["text"], [rule("amount", "gt", "many")]):
        found = imported(zap(1, "Filtered", hook(), rules(2, 1, *criteria), post(3, 2)))
        assert found.rows[0]["result"] == "needs a decision"
        assert found.rows[0]["routes"] == []


def test_paths_become_routes_and_the_fallback_takes_the_rest(imported: Callable[..., Imported]) -> None:
    branch = node(2, "BranchingAPI", "branch", 1)
    euro = rules(3, 2, rule("currency", "exact", "eur"), api="BranchingAPI")
    dollar = rules(5, 2, rule("currency", "exact", "usd"), api="BranchingAPI")
    rest = {**node(7, "BranchingAPI", "filter", 2), "title": "Fallback"}
    calls = [
        post(n, parent, data={"path": name}) for n, parent, name in ((4, 3, "euro"), (6, 5, "usd"), (8, 7, "rest"))
    ]
    found = imported(zap(1, "Paths", hook(), branch, euro, dollar, rest, *calls))
    assert len(found.rows[0]["routes"]) == 3
    for currency, path in (("eur", "euro"), ("usd", "usd"), ("chf", "rest")):
        assert [p["json"]["path"] for p in found.matched("paths", {**BODY, "currency": currency})] == [path]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"transform": "string.uppercase", "inputs": "{{1__currency}}"}, "EUR"),
        ({"transform": "titlecase", "input": "{{1__currency}}"}, "Eur"),
        ({"transform": "string.replace", "inputs": "{{1__type}}", "find": ".", "replace": "-"}, "invoice-paid"),
        ({"transform": "string.split", "inputs": "{{1__type}}", "separator": ".", "segment_index": "last"}, "paid"),
        ({"transform": "string.default_value", "inputs": "{{1__currency}}", "default_value": "x"}, "eur"),
        ({"transform": "date.formatting", "inputs": "{{1__created}}", "to_format": "DD.MM.YYYY"}, "01.03.2026"),
    ],
)
def test_formatter_steps_become_expressions(
    imported: Callable[..., Imported], params: dict[str, Any], expected: str
) -> None:
    found = imported(
        zap(
            1,
            "F",
            hook(),
            node(2, "ZapierFormatterAPI@1", "string", 1, **params),
            post(3, 2, data={"v": "{{2__output}}"}),
        )
    )
    assert [p["json"]["v"] for p in found.matched("f")] == [expected]


def test_what_waits_collects_or_runs_code_is_explained(imported: Callable[..., Imported]) -> None:
    steps = {"DelayAPI": "waits", "DigestCLIAPI": "digest", "CodeAPI": "python", "StorageAPI": "state"}
    for api, why in steps.items():
        found = imported(zap(1, "Z", hook(), node(2, api, "run", 1), post(3, 2)))
        assert found.rows[0]["result"] == "needs a decision"
        assert why in found.rows[0]["why"][0]
        assert why in found.text


def test_what_an_action_answered_is_not_in_the_event(imported: Callable[..., Imported]) -> None:
    found = imported(zap(1, "Z", hook(), post(2, 1, data={"a": 1}), post(3, 2, data={"id": "{{2__id}}"})))
    assert found.rows[0]["result"] == "needs a decision"
    assert len(found.rows[0]["routes"]) == 1
    assert "step 2 answered" in found.rows[0]["why"][0]


def test_unknown_apps_need_a_connector_and_polled_triggers_a_decision(imported: Callable[..., Imported]) -> None:
    found = imported(
        zap(1, "A", hook(), node(2, "TrelloCLIAPI@1", "card", 1)),
        zap(2, "B", node(1, "RSSCLIAPI", "new_item", kind="read"), post(2, 1)),
        zap(3, "C", hook(), post(2, 1), status="off"),
    )
    assert [row["result"] for row in found.rows] == ["needs a connector", "needs a decision", "off"]


@pytest.mark.parametrize(
    ("action", "params", "cron"),
    [
        ("everyDay", {"time_of_day": "9am", "weekends": "no"}, "0 9 * * MON-FRI"),
        ("every_day", {"time": "14:30"}, "30 14 * * *"),
        ("everyHour", {}, "0 * * * *"),
        ("everyWeek", {"day": "Monday", "time_of_day": "12am"}, "0 0 * * MON"),
        ("everyMonth", {"day_of_month": "15", "time_of_day": "8:05 pm"}, "5 20 15 * *"),
    ],
)
def test_schedules_become_schedules(
    imported: Callable[..., Imported], action: str, params: dict[str, Any], cron: str
) -> None:
    trigger = node(1, "ScheduleCLIAPI@1", action, kind="read", **params)
    found = imported(zap(1, "Tick", trigger, node(2, "WebHookCLIAPI", "get", 1, url="https://x.example.com/ping")))
    assert [schedule.cron for schedule in load_routing_table(found.table).schedules] == [cron]
    assert found.rows[0]["result"] == "ready"


def test_no_host_comes_out_of_an_event(imported: Callable[..., Imported]) -> None:
    found = imported(
        zap(1, "A", hook(), post(2, 1, "https://{{1__host}}/x")),
        zap(2, "B", hook(), post(2, 1, "{{1__url}}")),
        zap(3, "C", hook(), post(2, 1, "https://x.example.com:{{1__port}}/")),
    )
    assert {row["result"] for row in found.rows} == {"needs a decision"}
    assert "destinations: {}" in found.text


def test_no_credential_comes_out_of_the_import(imported: Callable[..., Imported], tmp_path: Path) -> None:
    found = Imported(tmp_path, with_credentials())
    for planted in PLANTED:
        for part in {planted, planted.rpartition("/")[2], planted.partition(".")[2] or planted}:
            assert part not in found.text, part
            assert part not in found.result.output, part
    assert "CRM_EXAMPLE_COM_API_KEY" in found.text
    assert found.rows[0]["result"] == "needs a decision"  # credentials were left out


MAIL = {"from": "a@x.example", "to": "b@x.example", "subject": "s", "body": "t"}
ROW = {"base": "appABCDEFGHIJKLMN", "table": "T", "fields": {"A": "{{1__type}}"}}
SLACK_HOOK = "https://hooks.slack.com/services/T0/B0/abc123DEF456"
KNOWN = {
    "slack": node(2, "SlackCLIAPI@2", "channel_message", 1, channel="C024BE91L", text="Paid {{1__amount}}"),
    "telegram": node(2, "TelegramCLIAPI", "send_message", 1, chat_id="77", text="{{1__type}}"),
    "github": node(2, "GitHubCLIAPI", "create_issue", 1, repo="o/r", title="{{1__type}}", body="b"),
    "airtable": node(2, "AirtableCLIAPI", "create_record", 1, **ROW),
    "sendgrid": node(2, "SendGridCLIAPI", "send_email", 1, **MAIL),
    "slack_webhook": post(2, 1, SLACK_HOOK, data={"text": "{{1__type}}"}),
}


@pytest.mark.parametrize("connector", KNOWN)
def test_known_services_become_their_connectors(imported: Callable[..., Imported], connector: str) -> None:
    found = imported(zap(1, "Z", hook(), KNOWN[connector]))
    assert found.rows[0]["result"] == "ready", found.rows
    assert [settings.connector for settings in load_routing_table(found.table).destinations.values()] == [connector]
    assert found.matched("z")


def test_an_api_key_becomes_a_variable(imported: Callable[..., Imported]) -> None:
    found = imported(
        zap(1, "A", hook(), post(2, 1, headers={"X-Api-Key": PLANTED[2]})),
        zap(2, "B", hook(), post(2, 1, f"https://crm.example.com/x?key={PLANTED[4]}&a=1")),
        zap(3, "C", hook(), post(2, 1, headers={"X-Api-Key": PLANTED[2], "Authorization": f"Bearer {PLANTED[1]}"})),
    )
    assert [row["result"] for row in found.rows] == ["ready", "ready", "needs a decision"]
    table = load_routing_table(found.table)
    assert {name for _, names in table.secret_envs() for name in names} == {
        "CRM_EXAMPLE_COM_API_KEY",
        "CRM_EXAMPLE_COM_API_KEY_B",
    }


@pytest.mark.parametrize("seed", range(6))
def test_any_export_imports_and_its_table_is_valid(tmp_path: Path, seed: int) -> None:
    found = Imported(tmp_path, hostile(seed))
    assert len(found.rows) > 250
    assert {row["result"] for row in found.rows} <= {"ready", "needs a connector", "needs a decision", "off"}
    assert sum(len(row["routes"]) for row in found.rows) > 20


KEYS = st.sampled_from(["zaps", "nodes", "params", "id", "title", "selected_api", "parent_id", "metadata", "version"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
)


@given(content=JSON)
def test_any_json_is_an_export_or_is_refused(content: object, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("export") / "Zapfile.json"
    path.write_text(json.dumps(content))
    try:
        read_export(path)
    except BadExport:
        return


def test_a_zip_is_read_and_a_bomb_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("readme.json", "[]")
        archive.writestr("export/Zapfile.json", json.dumps(export(zap(1, "A", hook(), post(2, 1)))))
    assert [found.title for found in read_export(path).zaps] == ["A"]
    monkeypatch.setattr("headrace.zapier.export.JSON_BYTES_MAX", 10)
    with pytest.raises(BadExport, match="larger"):
        read_export(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"[1, 2", b'{"zaps": 7}', b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_export_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "Zapfile.json"
    path.write_bytes(content)
    result = run("zapier", "import", str(path))
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.output


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "Zapfile.json").write_text(json.dumps(export()))
    (tmp_path / "headrace.yaml").write_text("mine")
    result = run("zapier", "import", str(tmp_path / "Zapfile.json"), "-o", str(tmp_path / "headrace.yaml"))
    assert result.exit_code == 2
    assert (tmp_path / "headrace.yaml").read_text() == "mine"


def test_the_history_gives_tasks_a_month(tmp_path: Path) -> None:
    (tmp_path / "Zapfile.json").write_text(json.dumps(export(zap(1, "A", hook(), post(2, 1)))))
    rows = ["Zap title,Status,Tasks used,Date"]
    rows += [f"A,success,2,2026-03-{day:02}T00:00:00Z" for day in range(1, 17)]
    (tmp_path / "history.csv").write_text("\n".join(rows))
    result = run(
        "zapier", "import", str(tmp_path / "Zapfile.json"), "--json", "--history", str(tmp_path / "history.csv")
    )
    assert json.loads(result.stderr.splitlines()[0])["tasks_a_month"] == 64  # 32 in 15 days


def test_app_names() -> None:
    names = [
        "SlackCLIAPI@1.18.0",
        "GoogleSheetsV2CLIAPI@2.4.0",
        "WebHookCLIAPI",
        "FilterAPI",
        "ZapierFormatterAPI@2",
        "API",
        "",
    ]
    assert [app_name(name) for name in names] == [
        "slack",
        "googlesheets",
        "webhook",
        "filter",
        "zapierformatter",
        "api",
        "",
    ]


def test_what_looks_like_a_credential() -> None:
    for planted in PLANTED[1:2] + PLANTED[3:4] + PLANTED[6:8] + PLANTED[10:]:
        assert looks_like_credential(f"x {planted}")
        assert planted not in redact(f"x {planted} y")
    for harmless in (
        "C024BE91L",
        "Hello, {{1__customer__first_name}}!",
        "invoice.paid",
        "https://crm.example.com/api/v1/invoices",
        "2026-03-01T09:30:00Z",
    ):
        assert not looks_like_credential(harmless), harmless
    assert is_credential_name("X-Api-Key")
    assert not is_credential_name("channel")
