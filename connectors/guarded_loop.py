"""The event loop as it is given to a driver that makes its own connections: they lead only to where they may."""

from __future__ import annotations

import asyncio
import ssl as ssl_module
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from connectors.resolver import connect

if TYPE_CHECKING:
    from aiohttp.abc import AbstractResolver

P = TypeVar("P", bound=asyncio.BaseProtocol)


class GuardedLoop:
    """An event loop whose ``create_connection`` connects to addresses that were checked; all else is the loop's own.

    TLS still asks for the certificate of the name. ``written`` says whether the operator wrote a host: only then an
    address that is a number needs no leave. Datagrams are not guarded: no driver here sends any.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        allow_private: bool,
        written: Callable[[str], bool] = lambda host: True,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._loop = loop
        self._allow_private = allow_private
        self._written = written
        self._resolver = resolver

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    # asyncio.current_task(loop) looks a loop up in a dict: asyncpg asks it about the one that it was given.
    def __eq__(self, other: object) -> bool:
        return other is self or other is self._loop

    def __hash__(self) -> int:
        return hash(self._loop)

    async def create_connection(
        self,
        protocol_factory: Callable[[], P],
        host: str,
        port: int,
        *,
        ssl: ssl_module.SSLContext | bool | None = None,
        server_hostname: str | None = None,
        **options: Any,
    ) -> tuple[asyncio.Transport, P]:
        """Return a transport to ``host``, as the loop's own would.

        Raises:
            AddressRefused: the host leads to addresses that are not public, and that is not allowed.
            OSError: no address can be connected to, or TLS fails.
        """
        written = self._written(host)
        sock = await connect(host, port, allow_private=self._allow_private, written=written, resolver=self._resolver)
        if ssl and server_hostname is None:
            server_hostname = host
        try:
            return await self._loop.create_connection(
                protocol_factory, sock=sock, ssl=ssl, server_hostname=server_hostname, **options
            )
        except BaseException:
            sock.close()
            raise
