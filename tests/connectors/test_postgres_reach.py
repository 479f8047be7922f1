"""Where a PostgreSQL may be, and how it proves that it is the one: addresses, names and certificates."""

import asyncio
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from connectors.errors import CredentialsRefused, TimeoutExceeded, Unreachable
from tests.connectors.postgres_server import PASSWORD, Postgres
from tests.tools import find_postgres

pytestmark = pytest.mark.xdist_group("postgres-reach")  # one server for all


@pytest.fixture(scope="module")
def server():
    with tempfile.TemporaryDirectory(prefix="headrace-postgres-") as folder:
        server = Postgres(find_postgres(), Path(folder))
        rules = server.folder / "data" / "pg_hba.conf"
        rules.write_text("hostnossl all careful 127.0.0.1/32 reject\n" + rules.read_text())
        server.start()
        yield server
        server.stop()


@pytest.fixture
async def tables(server):
    connection = await server.connect()
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE TABLE orders (id int)")
    yield connection
    await connection.close()


@pytest.fixture
def insert(server, tables, open_destination):
    """Return a function that inserts a row by a destination of its own, over TLS unless it is told otherwise."""

    async def insert_by(dsn=None, **keys):
        own = {"dsn_env": "DSN", "ca_file": str(server.ca_file), "retry": {"attempts": 1}, "timeout_s": 30, **keys}
        destination = await open_destination("postgres", own, secrets={"dsn_env": dsn or server.dsn()})

        async def go():
            pass

        parameters = {"table": "orders", "row": {"id": 1}}
        return await destination.call("insert", parameters, idempotency_key="5f" * 32, before_attempt=go)

    return insert_by


async def encrypted(tables):
    return await tables.fetchval("SELECT count(*) FROM pg_stat_ssl WHERE ssl AND pid <> pg_backend_pid()")


async def test_a_name_of_a_private_address_needs_leave_and_a_number_does_not(insert, server, tables):
    for keys in ({}, {"tls": "off"}):
        with pytest.raises(Unreachable, match=r"localhost has the address .* allow_private: true") as caught:
            await insert(server.dsn(host="localhost"), **keys)
        assert PASSWORD not in str(caught.value)
    assert await tables.fetchval("SELECT count(*) FROM orders") == 0
    assert await tables.fetchval("SELECT to_regclass('headrace_deliveries')") is None
    assert (await insert(server.dsn(host="localhost"), allow_private=True)).made == "INSERT 0 1"
    assert await encrypted(tables) == 1
    await insert(server.dsn(host="127.0.0.1"))


async def test_of_several_hosts_the_one_that_may_be_reached_is(insert, server):
    hosts = f"localhost:{server.port},127.0.0.1:{server.port}"
    assert (await insert(f"postgresql://shop:{PASSWORD}@{hosts}/postgres")).made == "INSERT 0 1"


async def test_a_query_is_cancelled_by_name_too(server, tables, open_destination):
    """asyncpg cancels over a connection that it makes for that, to the name again."""
    own = {"dsn_env": "DSN", "ca_file": str(server.ca_file), "allow_private": True, "retry": {"attempts": 1}}
    own |= {"timeout_s": 5, "statements": {"sleep": "SELECT pg_sleep(3600)"}}
    destination = await open_destination("postgres", own, secrets={"dsn_env": server.dsn(host="localhost")})

    async def go():
        pass

    with pytest.raises(TimeoutExceeded):
        await destination.call("execute", {"statement": "sleep"}, idempotency_key="5f" * 32, before_attempt=go)
    async with asyncio.timeout(60):
        while await tables.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"):
            await asyncio.sleep(0.05)


async def test_a_certificate_of_an_authority_that_is_not_trusted(insert, server, tmp_path):
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    for ca_file in (str(tmp_path / "other.pem"), None):
        with pytest.raises(Unreachable, match=r"certificate is not trusted \(.*local issuer") as caught:
            await insert(ca_file=ca_file)
        assert PASSWORD not in str(caught.value)


async def test_a_certificate_of_another_name_or_of_another_time(insert, server):
    yesterday = datetime.now(UTC) - timedelta(days=1)
    try:
        server.certify(server.authority.issue_cert("db.example"))
        await server.reload()
        with pytest.raises(Unreachable, match=r"not trusted \(.*doesn't match|not trusted \(.*[Mm]ismatch"):
            await insert()
        expired = server.authority.issue_cert("127.0.0.1", not_before=yesterday, not_after=yesterday)
        server.certify(expired)
        await server.reload()
        with pytest.raises(Unreachable, match=r"not trusted \(certificate has expired\)"):
            await insert()
    finally:
        server.certify(server.authority.issue_cert("localhost", "127.0.0.1"))
        await server.reload()
    await insert()


async def test_a_wrong_password_over_tls_pauses_the_destination(insert, server):
    with pytest.raises(CredentialsRefused, match="28P01") as caught:
        await insert(server.dsn(password="planted-wrong"))
    assert "planted" not in str(caught.value)


async def test_who_may_only_come_by_tls_is_refused_without(insert, server):
    with pytest.raises(CredentialsRefused, match=r"28000.*no encryption"):
        await insert(server.dsn(user="careful"), tls="off")


async def test_a_server_without_tls_gets_no_password(insert, server, tables):
    await tables.execute("ALTER SYSTEM SET ssl = off")
    await server.reload()
    try:
        with pytest.raises(Unreachable, match="offers no TLS"):
            await insert()
    finally:
        await tables.execute("ALTER SYSTEM RESET ssl")
        await server.reload()
    await insert()


@pytest.mark.parametrize("dsn", ["planted", "mysql://shop:planted@127.0.0.1/shop", "postgresql://shop@h:planted/x"])
async def test_what_is_no_address_of_a_database_pauses_the_destination(insert, dsn):
    with pytest.raises(CredentialsRefused) as caught:
        await insert(dsn)
    assert "planted" not in str(caught.value)
