"""Rows in a real PostgreSQL, started by the test in a directory of its own."""

import asyncio
import os
import signal
import tempfile
from pathlib import Path

import pytest

from connectors.errors import CredentialsRefused, PermanentError, TransientError
from tests.connectors.postgres_server import PASSWORD, Postgres
from tests.tools import find_postgres

TABLES = """
CREATE SCHEMA store;
CREATE TYPE state AS ENUM ('new', 'paid');
CREATE TABLE orders (
    id bigint PRIMARY KEY, total numeric CHECK (total >= 0), paid boolean,
    at timestamptz, tags text[], raw jsonb, state state
);
CREATE TABLE store."Odd ""name" (id int PRIMARY KEY, "a ""b;--" text);
CREATE TABLE counters (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO counters VALUES (1, 0);
"""


@pytest.fixture(scope="module")
def server():
    programs = find_postgres()
    with tempfile.TemporaryDirectory(prefix="headrace-postgres-") as folder:
        server = Postgres(programs, Path(folder))
        server.start()
        yield server
        server.stop()


@pytest.fixture
async def tables(server):
    connection = await server.connect()
    await connection.execute(
        "DROP SCHEMA public CASCADE; DROP SCHEMA IF EXISTS store CASCADE; CREATE SCHEMA public;" + TABLES
    )
    yield connection
    await connection.close()


@pytest.fixture
def open_postgres(server, tables, open_destination):
    async def open_it(dsn=None, **keys):
        own = {"dsn_env": "DSN", "tls": "off", "retry": {"attempts": 1}, "timeout_s": 20, **keys}
        return await open_destination("postgres", own, secrets={"dsn_env": dsn or server.dsn()})

    return open_it


def delivery(number):
    return f"{number:064x}"


async def do(destination, action, number=1, **parameters):
    async def go():
        pass

    return await destination.call(action, parameters, idempotency_key=delivery(number), before_attempt=go)


ROW = {"id": 7, "total": "12.50", "paid": True, "at": "2026-01-02T03:04:05Z", "tags": ["a", "b"], "raw": {"x": [1]}}


async def test_a_row_is_inserted_with_the_types_of_its_columns(open_postgres, tables):
    settled = await do(await open_postgres(), "insert", table="orders", row={**ROW, "state": "paid"})
    assert settled.made == "INSERT 0 1"
    row = await tables.fetchrow("SELECT *, at AT TIME ZONE 'UTC' AS utc FROM orders")
    assert (row["id"], str(row["total"]), row["paid"], row["tags"]) == (7, "12.50", True, ["a", "b"])
    assert (str(row["utc"]), row["raw"], row["state"]) == ("2026-01-02 03:04:05", '{"x": [1]}', "paid")


async def test_a_delivery_is_carried_out_once_however_often_it_is_tried(open_postgres, tables):
    statements = {"count": "UPDATE counters SET n = n + 1 WHERE id = $1"}
    first, second = await open_postgres(statements=statements), await open_postgres(statements=statements)
    made = await asyncio.gather(
        *(do(destination, "execute", statement="count", arguments=[1]) for destination in (first, second) * 10)
    )
    assert sorted(each.made for each in made) == ["UPDATE 1"] + ["done by an earlier attempt"] * 19
    await do(first, "execute", 2, statement="count", arguments=["1"])
    assert await tables.fetchval("SELECT n FROM counters") == 2


async def test_a_refused_delivery_is_not_noted_as_done(open_postgres, tables):
    destination = await open_postgres()
    with pytest.raises(PermanentError, match="23514"):
        await do(destination, "insert", table="orders", row={"id": 7, "total": -1})
    await do(destination, "insert", table="orders", row={"id": 7, "total": 1})
    assert await tables.fetchval("SELECT total FROM orders") == 1


async def test_an_upsert_updates_what_it_is_told_to(open_postgres, tables):
    destination = await open_postgres()
    await do(destination, "upsert", 1, table="orders", row=ROW, conflict=["id"])
    await do(destination, "upsert", 2, table="orders", row={"id": 7, "total": 13, "paid": False}, conflict=["id"])
    await do(
        destination,
        "upsert",
        3,
        table="orders",
        row={"id": 7, "total": 14, "paid": True},
        conflict=["id"],
        update=["total"],
    )
    await do(destination, "upsert", 4, table="orders", row={"id": 7, "total": 15}, conflict=["id"], update=[])
    assert dict(await tables.fetchrow("SELECT id, total, paid FROM orders")) == {"id": 7, "total": 14, "paid": False}


async def test_no_identifier_or_value_is_taken_for_sql(open_postgres, tables):
    destination = await open_postgres()
    evil = "x'); DROP TABLE orders; --"
    await do(destination, "insert", table='store.Odd "name', row={"id": 1, 'a "b;--': evil})
    assert await tables.fetchval('SELECT "a ""b;--" FROM store."Odd ""name"') == evil
    for table, row in ((evil, {"id": 1}), ("orders", {evil: 1}), ("a.b.c", {"id": 1}), ("orders", {})):
        with pytest.raises(PermanentError):
            await do(destination, "insert", 2, table=table, row=row)
    with pytest.raises(PermanentError, match="no statement"):
        await do(destination, "execute", 3, statement=evil)
    assert await tables.fetchval("SELECT count(*) FROM orders") == 0


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"id": "seven"}, "22P02"),
        ({"id": 7, "total": "x" * 5000}, "22P02"),
        ({"id": 7, "raw": {"a": "\u0000"}}, "22P05"),
        ({"id": None}, "23502"),
        ({"nowhere": 1}, "42703"),
        ({"id": 7, "state": "lost"}, "22P02"),
    ],
)
async def test_a_row_that_does_not_fit_is_refused_in_few_words(open_postgres, row, says):
    with pytest.raises(PermanentError, match=says) as caught:
        await do(await open_postgres(), "insert", table="orders", row=row)
    assert len(str(caught.value)) < 300


async def test_a_duplicate_is_refused_without_showing_the_row(open_postgres):
    destination = await open_postgres()
    await do(destination, "insert", 1, table="orders", row={"id": 424242})
    with pytest.raises(PermanentError, match="23505") as caught:
        await do(destination, "insert", 2, table="orders", row={"id": 424242})
    assert "424242" not in str(caught.value)


@pytest.mark.parametrize(
    "account",
    [{"password": "planted-wrong"}, {"user": "nobody"}, {"database": "nowhere"}],
    ids=lambda account: next(iter(account)),
)
async def test_who_is_refused_pauses_the_destination(open_postgres, server, account):
    with pytest.raises(CredentialsRefused) as caught:
        await do(await open_postgres(server.dsn(**account)), "insert", table="orders", row={"id": 1})
    assert "planted" not in str(caught.value)


async def test_a_table_that_the_user_may_not_write_pauses_the_destination(open_postgres, server, tables):
    await tables.execute(
        f"CREATE ROLE poor LOGIN PASSWORD '{PASSWORD}'; GRANT CREATE, USAGE ON SCHEMA public TO poor;"
        "GRANT SELECT ON orders TO poor"
    )
    with pytest.raises(CredentialsRefused, match="42501"):
        await do(await open_postgres(server.dsn(user="poor")), "insert", table="orders", row={"id": 1})
    await tables.execute("DROP OWNED BY poor; DROP ROLE poor")


async def test_a_call_that_waits_for_a_lock_is_bounded_and_rolled_back(open_postgres, tables):
    destination = await open_postgres(timeout_s=1, statements={"count": "UPDATE counters SET n = n + 1"})
    async with tables.transaction():
        await tables.execute("SELECT * FROM counters FOR UPDATE")
        with pytest.raises(TransientError, match="no answer"):
            await do(destination, "execute", statement="count")
    assert (await do(destination, "execute", statement="count")).made == "UPDATE 1"
    assert await tables.fetchval("SELECT n FROM counters") == 1


async def test_a_frozen_server_holds_up_a_call_no_longer_than_its_time(open_postgres, server, tables):
    destination = await open_postgres(timeout_s=1, statements={"count": "UPDATE counters SET n = n + 1"})
    await do(destination, "execute", 1, statement="count")
    pids = [row["pid"] for row in await tables.fetch("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()")]
    frozen = [server.process.pid, *pids]
    try:
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        async with asyncio.timeout(30):
            with pytest.raises(TransientError):
                await do(destination, "execute", 2, statement="count")
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    async with asyncio.timeout(60):
        while True:
            try:
                await do(destination, "execute", 2, statement="count")
                break
            except TransientError:
                await asyncio.sleep(0.1)
    assert await tables.fetchval("SELECT n FROM counters") == 2


async def test_a_server_that_is_restarted_loses_and_repeats_nothing(open_postgres, server, tables):
    destination = await open_postgres(statements={"count": "UPDATE counters SET n = n + 1"}, circuit={"failures": 1000})

    async def until_done(number):
        async with asyncio.timeout(120):
            while True:
                try:
                    return await do(destination, "execute", number, statement="count")
                except TransientError:
                    await asyncio.sleep(0.05)

    work = [asyncio.create_task(until_done(number)) for number in range(200)]
    async with asyncio.timeout(60):
        while await tables.fetchval("SELECT n FROM counters") < 10:
            await asyncio.sleep(0.01)
    await tables.close()
    server.process.kill()
    await server.restart()
    await asyncio.gather(*work)
    connection = await server.connect()
    assert await connection.fetchval("SELECT n FROM counters") == 200
    assert await connection.fetchval("SELECT count(*) FROM headrace_deliveries") == 200
    await connection.close()


async def test_old_notes_are_forgotten(open_postgres, tables):
    destination = await open_postgres(ledger_days=1)
    await do(destination, "insert", 1, table="orders", row={"id": 1})
    await do(destination, "insert", 2, table="orders", row={"id": 2})
    await tables.execute(
        "UPDATE headrace_deliveries SET done_at = now() - interval '2 days' WHERE delivery = $1", delivery(1)
    )
    await destination._account.prepared.prune()
    assert await tables.fetchval("SELECT array_agg(delivery) FROM headrace_deliveries") == [delivery(2)]
