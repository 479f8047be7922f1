"""A pool of connections to PostgreSQL, through which each delivery is carried out once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import structlog

from connectors.addresses import AddressRefused
from connectors.errors import CallError, CredentialsRefused, PermanentError, TransientError, Unreachable

if TYPE_CHECKING:
    import asyncpg

log = structlog.get_logger("connectors")

CONNECT_S_MAX = 10.0
RELEASE_S_MAX = 2.0  # for a connection whose query was cancelled; then it is cut
PRUNE_S = 3600.0
MESSAGE_CHARS_MAX = 200
DONE_BEFORE = "done by an earlier attempt"

# Classes and codes of appendix A. What is not here is the statement's or the value's own fault.
REFUSED = ("28", "42501", "3D000")  # authorization, privilege, no such database
TRANSIENT = ("08", "40", "53", "55P03", "57", "58", "25006")  # 25006: read only, as after a failover
# Values go as text, and PostgreSQL reads them as the type that it expects: JSON has no times, and numbers of one kind.
TEXT_TYPES = (
    "int2",
    "int4",
    "int8",
    "float4",
    "float8",
    "numeric",
    "money",
    "bool",
    "text",
    "varchar",
    "bpchar",
    "name",
    "uuid",
    "date",
    "time",
    "timetz",
    "timestamp",
    "timestamptz",
    "interval",
    "inet",
    "cidr",
    "macaddr",
    "json",
    "jsonb",
    "bytea",
    "xml",
)


def quoted(identifier: str) -> str:
    """Return an identifier that stands for itself, whatever it holds."""
    return '"' + identifier.replace('"', '""') + '"'


def quoted_table(table: str) -> str:
    """Return a table's name, with its schema if there is one."""
    return ".".join(map(quoted, table.split(".")))


class Database:
    """Executes statements, each together with a note of its delivery, in one transaction.

    A repeat finds the note and does nothing: also one that comes while the first is under way, and one after a commit
    whose answer was lost. The notes are forgotten after ``ledger_days``.
    """

    def __init__(
        self,
        dsn: str,
        *,
        context: ssl.SSLContext | None,
        connections_max: int,
        ledger: str,
        ledger_days: int,
        allow_private: bool = False,
    ) -> None:
        self._dsn = dsn
        self._allow_private = allow_private
        self._ssl: ssl.SSLContext | bool = context or False
        self._connections_max = connections_max
        self._ledger = quoted_table(ledger)
        self._ledger_days = ledger_days
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()
        self._pruning: asyncio.Task[None] | None = None

    async def once(self, delivery: str, sql: str, arguments: Sequence[Any]) -> str:
        """Execute ``sql`` unless ``delivery`` has been done, and return what PostgreSQL says about it.

        Raises:
            CallError: as `error_of` says; nothing was done, but for a commit whose answer was lost.
        """
        import asyncpg

        note = f"INSERT INTO {self._ledger} (delivery) VALUES ($1) ON CONFLICT DO NOTHING"  # noqa: S608  quoted
        try:
            pool = await self._opened()
            connection = await pool.acquire()
            try:
                async with connection.transaction():
                    if await connection.execute(note, delivery) == "INSERT 0 0":
                        return DONE_BEFORE
                    return str(await connection.execute(sql, *arguments))
            finally:
                await pool.release(connection, timeout=RELEASE_S_MAX)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
            raise error_of(error) from None

    async def close(self) -> None:
        """Close every connection; what is under way is rolled back."""
        if self._pruning is not None:
            self._pruning.cancel()
        if self._pool is not None:
            self._pool.terminate()

    async def _opened(self) -> asyncpg.Pool:
        import asyncpg

        async with self._opening:
            if self._pool is None:
                pool = await asyncpg.create_pool(
                    self._dsn,
                    min_size=0,
                    max_size=self._connections_max,
                    timeout=CONNECT_S_MAX,
                    ssl=self._ssl,
                    init=_read_text,
                    connect=self._connect,
                )
                try:
                    await self._make_ledger(pool)
                except BaseException:
                    pool.terminate()
                    raise
                self._pool = pool
                self._pruning = asyncio.create_task(self._keep_pruned())
            return self._pool

    async def _connect(self, *arguments: Any, loop: asyncio.AbstractEventLoop, **options: Any) -> asyncpg.Connection:
        import asyncpg

        from connectors.guarded_loop import GuardedLoop  # aiohttp, which checking a routing table need not import

        # The connection keeps this loop, and cancels queries over connections that it makes by it too.
        guarded = GuardedLoop(loop, allow_private=self._allow_private)
        try:
            return await asyncpg.connect(*arguments, loop=guarded, **options)
        except ValueError as error:
            if isinstance(error, OSError):  # a certificate that is not trusted is both
                raise
            raise asyncpg.ClientConfigurationError("the address is not valid") from None

    async def _make_ledger(self, pool: asyncpg.Pool) -> None:
        import asyncpg

        table = (
            f"CREATE TABLE IF NOT EXISTS {self._ledger} "
            "(delivery text PRIMARY KEY, done_at timestamptz NOT NULL DEFAULT now())"
        )
        # Two workers that make it at once, one of them fails on PostgreSQL's own catalogue: the table is there then.
        with contextlib.suppress(asyncpg.UniqueViolationError, asyncpg.DuplicateTableError):
            if await pool.fetchval("SELECT to_regclass($1)::text", self._ledger) is None:
                await pool.execute(table)

    async def prune(self) -> None:
        """Forget the deliveries that were done more than ``ledger_days`` ago."""
        if self._pool is not None:
            days = f"make_interval(days => {self._ledger_days:d})"
            await self._pool.execute(f"DELETE FROM {self._ledger} WHERE done_at < now() - {days}")  # noqa: S608  quoted

    async def _keep_pruned(self) -> None:
        while True:
            await asyncio.sleep(PRUNE_S)
            try:
                await self.prune()
            except Exception as error:  # the next hour will do
                log.warning("ledger_not_pruned", error=type(error).__name__)


def error_of(error: Exception) -> CallError:
    """Return what a failure means. Of PostgreSQL's words the message is shown, never the detail: that shows rows."""
    import asyncpg

    if isinstance(error, asyncpg.PostgresError):
        state = str(error.sqlstate or "")
        message = " ".join(str(error.args[0] if error.args else "").split())[:MESSAGE_CHARS_MAX]
        text = f"PostgreSQL says {state}: {message}"
        if state.startswith(REFUSED):
            return CredentialsRefused(text)
        if state.startswith("08") or state in ("57P01", "57P02", "57P03"):
            return Unreachable(text)
        return TransientError(text) if state.startswith(TRANSIENT) else PermanentError(text)
    if isinstance(error, AddressRefused):
        return Unreachable(str(error))
    if isinstance(error, ssl.SSLCertVerificationError):
        return Unreachable(f"PostgreSQL's certificate is not trusted ({error.verify_message})")
    if isinstance(error, ConnectionError) and "rejected SSL upgrade" in str(error):
        return Unreachable("PostgreSQL offers no TLS; tls: off is for a server without it")
    if isinstance(error, OSError):
        reason = error.strerror or ("it took too long" if isinstance(error, TimeoutError) else "the connection broke")
        return Unreachable(f"PostgreSQL could not be reached: {reason}")
    if isinstance(error, asyncpg.ClientConfigurationError):
        return CredentialsRefused("the address in the environment is none that PostgreSQL's drivers know")
    if isinstance(error, asyncpg.DataError | ValueError):
        return PermanentError("an argument does not fit the statement")
    if isinstance(error, asyncpg.InterfaceError):
        return TransientError("the connection to PostgreSQL broke")
    return TransientError(f"the connection to PostgreSQL failed: unexpected {type(error).__name__}")


async def _read_text(connection: asyncpg.Connection) -> None:
    for name in TEXT_TYPES:
        await connection.set_type_codec(name, schema="pg_catalog", encoder=_as_text, decoder=str, format="text")


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
