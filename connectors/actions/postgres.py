"""PostgreSQL: rows and statements, each delivery's once.

Example::

    destinations:
      warehouse:
        connector: postgres
        dsn_env: WAREHOUSE_DSN      # postgresql://user:password@db.internal/shop
        allow_private: true         # db.internal leads to an address that is not public
        statements:
          pay: UPDATE orders SET paid_at = $2 WHERE id = $1
    routes:
      - name: order-to-row
        source: orders
        to: warehouse
        action: upsert
        with: {table: orders, conflict: [id], row: {id: "{{ body.id }}", total: "{{ body.total }}"}}
      - name: payment-to-row
        source: orders
        when: body.status == "paid"
        to: warehouse
        action: execute
        with: {statement: pay, arguments: ["{{ body.id }}", "{{ event.time }}"]}

Source: postgresql.org/docs, "INSERT: ON CONFLICT", "JSON functions: json_populate_record", "Appendix A: error codes",
"libpq connection strings"; magicstack.github.io/asyncpg.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from connectors.connector import Call, Connector, DestinationSettings, EnvName, Extra
from connectors.database import Database, quoted, quoted_table
from connectors.errors import PermanentError
from connectors.rules import Given
from connectors.tls import Tls
from connectors.web_settings import AllowPrivate, TableFile

Table = Annotated[str, Field(pattern=r"^[^\x00.]{1,63}(\.[^\x00.]{1,63})?$")]
Column = Annotated[str, Field(pattern=r"^[^\x00]{1,63}$")]
Row = Annotated[dict[Column, Any], Field(min_length=1, max_length=1000)]


class PostgresSettings(DestinationSettings):
    """A destination of connector ``postgres``: one database, whose address is in the environment, with the password."""

    dsn_env: EnvName = Field(description="postgresql://user:password@host:5432/database.")
    tls: Literal["verify", "off"] = Field("verify", description="off for a server without TLS, or a Unix socket.")
    ca_file: TableFile | None = Field(None, description="A PEM file with the only authorities to trust.")
    allow_private: AllowPrivate = False
    concurrency: int = Field(5, ge=1, le=1000, description="Calls in flight and connections, per worker.")
    statements: dict[str, str] = Field(
        default={},
        description="Statements for `execute`, by a name of yours, with $1, $2 … for arguments. Only what stands here "
        "is executed: an event can choose neither a statement nor a part of one.",
    )
    ledger: Table = Field("headrace_deliveries", description="The table that tells which deliveries are done.")
    ledger_days: int = Field(30, ge=1, le=3650, description="How long it remembers them.")


async def _open(settings: PostgresSettings, secrets: Mapping[str, str]) -> Database:
    return Database(
        secrets["dsn_env"],
        context=Tls(settings.ca_file).context() if settings.tls == "verify" else None,
        allow_private=settings.allow_private,
        connections_max=settings.concurrency,
        ledger=settings.ledger,
        ledger_days=settings.ledger_days,
    )


postgres = Connector("postgres", PostgresSettings, prepare=_open, extra=Extra("asyncpg", "postgres"))


@postgres.action
async def insert(call: Call, *, table: Table, row: Row) -> str:
    """Insert ``row``, exactly once: the delivery is noted in the same transaction, and a repeat finds it there.

    ``table`` may have a schema before it, as ``shop.orders``. Values are converted to the columns' types as PostgreSQL
    does with JSON: text into a time, a mapping into ``jsonb``, a list into an array.

    Returns:
        How many rows were inserted, or that an earlier attempt did.

    Raises:
        PermanentError: the row breaks a constraint, a value does not fit its column, or there is no such table.
        TransientError: a deadlock or a serialization failure, too many connections, or the server could not be reached.
        CredentialsRefused: the server refuses the user, or the user may not write there.
    """
    return await _write(call, _insert(table, row), row)


def _updates_what_it_has(given: Given, settings: object) -> str:
    row, update = given.mapping.get("row"), given.mapping.get("update")
    if not isinstance(row, Mapping) or not isinstance(update, list):
        return ""
    unknown = [str(name) for name in update if name not in row and given.knows(name)]
    return f"update names columns that row has not: {', '.join(unknown)[:200]}" if unknown else ""


@postgres.action_with(_updates_what_it_has)
async def upsert(
    call: Call,
    *,
    table: Table,
    row: Row,
    conflict: Annotated[list[Column], Field(min_length=1, max_length=32)],
    update: list[Column] | None = None,
) -> str:
    """Insert ``row``, or update the one with the same ``conflict`` columns, exactly once, as `insert` does.

    The ``conflict`` columns need a unique index. All other columns of ``row`` are updated, or those of ``update``; an
    empty ``update`` leaves an existing row as it is.

    Returns:
        How many rows were written, or that an earlier attempt did.

    Raises:
        PermanentError: as with `insert`, or there is no unique index on ``conflict``.
        TransientError: a deadlock or a serialization failure, too many connections, or the server could not be reached.
        CredentialsRefused: the server refuses the user, or the user may not write there.
    """
    changed = [name for name in row if name not in conflict] if update is None else update
    target = ", ".join(map(quoted, conflict))
    action = ", ".join(f"{quoted(name)} = excluded.{quoted(name)}" for name in changed)
    on_conflict = f" ON CONFLICT ({target}) DO " + (f"UPDATE SET {action}" if action else "NOTHING")
    return await _write(call, _insert(table, row) + on_conflict, row)


def _has_statement(given: Given, settings: Any) -> str:
    name = given.mapping.get("statement")
    if settings is None or not isinstance(name, str) or not given.knows(name):
        return ""
    return "" if name in settings.statements else f"the destination has no statement {name!r}"


@postgres.action_with(_has_statement)
async def execute(
    call: Call, *, statement: str, arguments: Annotated[list[Any], Field(max_length=100)] | None = None
) -> str:
    """Execute one of the destination's ``statements`` with ``arguments``, exactly once, as `insert` does.

    Arguments are passed apart from the statement, as text that PostgreSQL reads as the type that it expects there.

    Returns:
        What PostgreSQL says was done (``UPDATE 1``), or that an earlier attempt did.

    Raises:
        PermanentError: the destination has no such statement, or PostgreSQL refuses it or an argument.
        TransientError: a deadlock or a serialization failure, too many connections, or the server could not be reached.
        CredentialsRefused: the server refuses the user, or the user may not do this.
    """
    database: Database = call.prepared
    return await database.once(call.idempotency_key, call.settings.statements[statement], arguments or [])


def _insert(table: str, row: Mapping[str, Any]) -> str:
    columns = ", ".join(map(quoted, row))
    into = quoted_table(table)
    # Identifiers are quoted, and have no parameters; every value goes as one, and is converted by PostgreSQL.
    return f"INSERT INTO {into} ({columns}) SELECT {columns} FROM json_populate_record(NULL::{into}, $1::json)"  # noqa: S608


async def _write(call: Call, sql: str, row: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(row, allow_nan=False)
    except (TypeError, ValueError):
        raise PermanentError("the row cannot be encoded as JSON") from None
    database: Database = call.prepared
    return await database.once(call.idempotency_key, sql, [text])
