"""The command line as a shell sees it: exit codes, one clear line, no traceback; and quick where it is small."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from aiokafka.errors import KafkaTimeoutError, TopicAuthorizationFailedError
from click.testing import CliRunner

import connectors.connector
from headrace.cli import Commands, main
from headrace.context import Settings
from headrace.options import with_settings
from streams.kafka import KafkaUnavailable
from tests.headrace.test_config import TEN_MISTAKES

TABLE = """\
version: 1
sources:
  orders: {scheme: hmac, secret_env: ORDERS_SECRET, event_id: "{{ body.id }}"}
  github: {scheme: github, secret_env: GITHUB_WEBHOOK_SECRET}
destinations:
  crm: {connector: http, base_url: "https://crm.example.com", token_env: CRM_TOKEN}
routes:
  - {name: all, source: "*", to: crm, action: request, with: {json: {id: "{{ event.id }}", note: "{{ body.note }}"}}}
  - {name: large, source: orders, when: body.total > 10, to: crm, action: request}
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "headrace.yaml"
    path.write_text(TABLE)
    return path


def headrace(cwd: Path, *args: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HEADRACE_", "KAFKA_"))}
    return subprocess.run(
        [sys.executable, "-c", "from headrace.cli import main; main()", *args],
        cwd=cwd,
        env={**inherited, **env},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_check_says_that_a_table_is_valid(table: Path) -> None:
    done = headrace(table.parent, "check")
    assert (done.returncode, done.stdout) == (0, "headrace.yaml is valid: 2 sources, 1 destination, 2 routes\n")


def test_check_names_all_ten_mistakes_with_lines_and_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(TEN_MISTAKES)
    done = headrace(tmp_path, "check", "--config", "bad.yaml")
    lines = done.stderr.splitlines()
    assert done.returncode == 2
    assert len(lines) == 11
    assert all(line.startswith("bad.yaml:") for line in lines[:10])
    assert lines[10] == "10 mistakes in bad.yaml"
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize(
    ("args", "env"),
    [
        (["check", "--config", "other.yaml"], {}),
        (["--config", "other.yaml", "check"], {}),
        (["--config", "nothing.yaml", "check", "--config", "other.yaml"], {}),
        (["check"], {"HEADRACE_CONFIG": "other.yaml"}),
        (["check", "--config", "other.yaml"], {"HEADRACE_CONFIG": "nothing.yaml"}),
        (["--config", "other.yaml", "check"], {"HEADRACE_CONFIG": "nothing.yaml"}),
    ],
)
def test_shared_options_stand_before_or_after_the_command_or_in_the_environment(
    table: Path, args: list[str], env: dict[str, str]
) -> None:
    table.rename(table.with_name("other.yaml"))
    assert "other.yaml is valid" in headrace(table.parent, *args, **env).stdout


def test_every_option_has_a_variable(table: Path) -> None:
    done = headrace(table.parent, "check", HEADRACE_CHECK_ENV="1")
    assert done.returncode == 2
    assert "ORDERS_SECRET" in done.stderr


def test_check_names_the_extra_that_a_connector_needs_and_is_not_installed(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = "files: {connector: s3, bucket: orders, access_key_id: AKID, secret_access_key_env: S}"
    table.write_text(TABLE.replace("crm: {", f"{files}\n  crm: {{"))
    arguments = ["check", "--config", str(table)]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    monkeypatch.setattr(connectors.connector, "find_spec", lambda name: None)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "destinations.files.connector" in result.stderr
    assert "needs botocore, which is not installed: pip install 'headrace[s3]'" in result.stderr


def test_check_env_names_every_secret_that_is_not_set(table: Path) -> None:
    done = headrace(table.parent, "check", "--env", ORDERS_SECRET="x")
    assert done.returncode == 2
    assert [line.split(":")[1] for line in done.stderr.splitlines()[:2]] == ["4", "6"]
    assert "GITHUB_WEBHOOK_SECRET is not set" in done.stderr
    assert "ORDERS_SECRET" not in done.stderr


def test_check_env_reads_files_and_the_data_directory(table: Path) -> None:
    (table.parent / "token").write_text("t\n")
    (table.parent / ".headrace").mkdir()
    (table.parent / ".headrace" / "secrets.env").write_text("ORDERS_SECRET=a\nGITHUB_WEBHOOK_SECRET=b\n")
    assert headrace(table.parent, "check", "--env", CRM_TOKEN_FILE="token").returncode == 0


def test_try_shows_what_each_route_would_do_with_secrets_masked(table: Path) -> None:
    (table.parent / "body.json").write_text('{"id": "o-1", "note": "token s3cr3t-token", "total": 5}')
    done = headrace(table.parent, "try", "orders", "body.json", "--json", CRM_TOKEN="s3cr3t-token")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert [(row["route"], row["verdict"]) for row in rows] == [("all", "matched"), ("large", "unmatched")]
    assert rows[0]["parameters"] == {"json": {"id": "o-1", "note": "token ***"}}
    assert "body.total > 10" in rows[1]["reason"]


def test_try_ends_with_1_if_a_mapping_fails(table: Path) -> None:
    done = headrace(table.parent, "try", "orders", "-", stdin='{"id": "o-1", "total": 50}')
    assert done.returncode == 1
    assert "✗ all → crm.request" in done.stdout
    assert "note" in done.stdout
    assert "✓ large" in done.stdout


def test_try_takes_a_captured_request(table: Path) -> None:
    row = {"headers": {"X-GitHub-Event": "push", "X-GitHub-Delivery": "d-1"}, "body": '{"note": 1}', "at": 5}
    done = headrace(table.parent, "try", "github", "-", stdin=json.dumps(row))
    assert "event d-1 of type push, source github" in done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("args", "stdin"),
    [
        (["try", "orders", "-"], "not json"),
        (["try", "orders", "-"], "{}"),
        (["try", "orders", "-", "--content-type", "image/png"], "x"),
        (["topics", "--kafka-bootstrap-servers", "127.0.0.1:1"], ""),
        (["topics", "--dry-run", "--kafka-bootstrap-servers", "nowhere.invalid:1"], ""),
    ],
)
def test_what_fails_is_one_line_without_a_traceback(table: Path, args: list[str], stdin: str) -> None:
    done = headrace(table.parent, *args, stdin=stdin)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: ")


@pytest.mark.parametrize(
    "args",
    [
        ["chek"],
        ["check", "--nope"],
        ["check", "--config", "missing.yaml"],
        ["check", "--config", "."],
        ["try", "odrers", "headrace.yaml"],
        ["try", "orders", "missing.json"],
        ["try", "orders", "headrace.yaml", "--header", "x"],
        ["check", "--log-format", "xml"],
        ["--nope", "check"],
        ["--log-level", "x", "check"],
        ["dlq", "lst"],
        ["queue", "crm"],
    ],
)
def test_wrong_usage_ends_with_2(table: Path, args: list[str]) -> None:
    done = headrace(table.parent, *args)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    said = [line for line in done.stderr.splitlines() if line.lower().startswith("error: ")]
    assert all(line.startswith("error: ") for line in said)
    assert bool(said) == ("--config" not in args)  # a mistake in the table begins with its file


def test_a_number_in_the_environment_that_is_none_ends_with_2(table: Path) -> None:
    done = headrace(table.parent, "topics", HEADRACE_PARTITIONS="many")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_help_lists_every_command_with_what_it_does() -> None:
    shown = CliRunner().invoke(main, ["--help"])
    assert shown.exit_code == 0
    for name in main.list_commands(click.Context(main)):
        assert any(
            line.split() and line.split()[0] == name and len(line.split()) > 1 for line in shown.output.splitlines()
        )


def test_every_command_has_help_and_the_shared_options() -> None:
    for name in main.list_commands(click.Context(main)):
        shown = CliRunner().invoke(main, [name, "--help"])
        assert shown.exit_code == 0, shown.output


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (KafkaUnavailable("no Kafka broker answers at x:1"), 1, "error: no Kafka broker answers at x:1"),
        (FileNotFoundError(2, "No such file or directory", "a.json"), 1, "error: a.json: No such file or directory"),
        (KeyError("x"), 1, "error: unexpected KeyError: 'x' (--log-level debug shows where)"),
        (TopicAuthorizationFailedError("orders"), 1, "error: TOPIC_AUTHORIZATION_FAILED: orders"),
        (KafkaTimeoutError(), 1, "error: kafka timeout"),
        (ExceptionGroup("two", [KafkaUnavailable("a\nb")]), 1, "error: a b"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_each_failure_has_its_code_and_line(error: BaseException, code: int, line: str) -> None:
    @click.group(cls=Failing)
    def group() -> None:
        pass

    @group.command()
    def fail() -> None:
        raise error

    result = CliRunner().invoke(group, ["fail"])
    assert result.exit_code == code
    assert result.stderr.strip() == line


def test_a_traceback_is_shown_for_debugging() -> None:
    @click.command()
    @with_settings
    def fail(settings: Settings) -> None:
        raise KeyError("x")

    class One(Commands):
        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            return fail

    @click.group(cls=One)
    @click.pass_context
    def group(ctx: click.Context) -> None:
        ctx.obj = {}

    assert "Traceback" in CliRunner().invoke(group, ["fail", "--log-level", "debug"]).stderr
    assert "Traceback" not in CliRunner().invoke(group, ["fail"]).stderr


@pytest.mark.parametrize("group", ["dlq", "schedules", "zapier"])
def test_the_commands_within_a_command_are_described_in_full_and_suggested(group: str) -> None:
    shown = CliRunner().invoke(main, [group, "--help"]).stdout
    listed = shown.partition("\nCommands:\n")[2]
    assert "..." not in listed
    (name,) = {"dlq": ["list"], "schedules": ["run"], "zapier": ["parity"]}[group]
    assert name in listed
    mistyped = CliRunner().invoke(main, [group, name[:-1]])
    assert mistyped.exit_code == 2
    assert f"did you mean '{name}'?" in mistyped.stderr


@pytest.mark.parametrize("words", [["dlq", "list"], ["dlq", "replay"], ["queue"], ["erase"], ["zapier", "parity"]])
def test_what_only_a_command_has_stands_before_what_all_have(words: list[str]) -> None:
    options = re.findall(r"^  (?:-\w, )?(--[a-z-]+)", CliRunner().invoke(main, [*words, "--help"]).stdout, re.MULTILINE)
    shared = ["--config", "--data-dir", "--kafka-bootstrap-servers", "--topic-prefix", "--log-format", "--log-level"]
    assert options[-7:] == [*shared, "--help"]
    assert len(options) > 7


@pytest.mark.parametrize("args", [["--help"], ["check"], ["schema"], ["try", "github", "-"]])
def test_small_commands_import_nothing_heavy(table: Path, args: list[str]) -> None:
    code = (
        "import sys\nfrom headrace.cli import main\n"
        "main(sys.argv[1:], standalone_mode=False)\n"
        "print(*sorted({'faust', 'mode', 'aiokafka', 'aiohttp', 'httpx'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *args], cwd=table.parent, input='{"note": 1}', capture_output=True, text=True
    )
    assert done.stderr.strip() == ""


class Failing(Commands):
    """A group with commands of its own instead of those in files."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return click.Group.get_command(self, ctx, cmd_name)
