"""Findings about the routing table, the secrets that it names, and the settings of the environment."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.config import ConfigError, RoutingTable
from headrace.context import SecretError, Settings
from headrace.doctor.finding import Finding, error, ok, warning
from headrace.mistakes import count, located, written
from headrace.retention import retention_warnings
from headrace.secrets import SECRETS_FILE

_ADVICE_UNSET = "set {name}, or {name}_FILE to a file that holds it"


def table_findings(settings: Settings) -> tuple[RoutingTable | None, list[Finding]]:
    """Return the routing table, ``None`` if it is not valid, and what is found about it."""
    try:
        table = settings.table()
    except ConfigError as failure:
        advice = "correct it; headrace check shows the same, docs/reference/routing-table.md explains every key"
        return None, [error("table", line, advice) for line in failure.report()]
    found = f"{table.path}: {count(len(table.sources), 'source')}, {count(len(table.destinations), 'destination')}, "
    return table, [
        ok("table", found + count(len(table.routes), "route")),
        *(warning("table", located(table.path, one), "see headrace check") for one in table.warnings),
    ]


def setting_findings(settings: Settings, table: RoutingTable | None) -> Iterator[Finding]:
    """Yield every variable that cannot be used, or hardly is meant."""
    mistakes = settings.kafka_mistakes()
    for sentence in mistakes:
        yield error("settings", sentence, "correct the variable")
    if not mistakes and table is not None:
        for sentence in retention_warnings(settings, table):
            yield warning("settings", sentence, "change one of the two")


def secret_findings(settings: Settings, table: RoutingTable, *, embedded: bool) -> Iterator[Finding]:
    """Yield every secret that is missing, unreadable, or surely not as it was meant; never a value."""
    right = 0
    for keys, names in table.secret_envs():
        for name in names:
            finding = _secret(settings, f"{written(keys)}: {name}", name, made_up=embedded and keys[0] == "sources")
            right += finding is None
            yield from [finding] if finding else []
    yield ok("secrets", f"{count(right, 'secret')} set")
    yield from _secrets_file(settings)


def _secret(settings: Settings, where: str, name: str, *, made_up: bool) -> Finding | None:
    advice = _ADVICE_UNSET.format(name=name)
    try:
        value = settings.secret(name)
    except SecretError as failure:
        return error("secrets", f"{where}: {failure}", "let the user that runs Headrace read the file, and fill it")
    if not value and made_up:
        return warning("secrets", f"{where} is not set", f"headrace run makes one up to try things out; else {advice}")
    if not value:
        return error("secrets", f"{where} is not set", advice)
    if value != value.strip():
        return warning(
            "secrets",
            f"{where} begins or ends with white space, which counts as part of it",
            "write it without, as with printf '%s': one newline at the end of a file is left out, more is not",
        )
    return None


def _secrets_file(settings: Settings) -> Iterator[Finding]:
    path = settings.data_dir / SECRETS_FILE
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if mode & 0o077:
        yield warning("secrets", f"others on this machine can read {path}", f"chmod 600 {path}")
