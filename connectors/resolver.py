"""Names to addresses, of which only those are given out that may be connected to."""

from __future__ import annotations

import asyncio
import errno
import socket

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from connectors.addresses import AddressRefused, is_public, numeric_address


class PublicResolver(AbstractResolver):
    """Resolves as the system does, and gives out public addresses alone.

    aiohttp connects to the addresses that it gets here and asks for no others, so that a name cannot have one address
    when it is checked and another when it is connected to. It does not ask about an address that was written as a
    number: that is its operator's decision.
    """

    def __init__(self, *, allow_private: bool, resolver: AbstractResolver | None = None) -> None:
        self._allow_private = allow_private
        self._resolver = resolver or aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of ``host`` that may be connected to.

        Raises:
            AddressRefused: there are some, but none that is public.
        """
        found = await self._resolver.resolve(host, port, family)
        if self._allow_private:
            return found
        public = [result for result in found if is_public(result["host"])]
        if found and not public:
            raise AddressRefused(
                f"{host} has the address {found[0]['host']}, which is not public: "
                "if that is meant, say allow_private: true at the destination"
            )
        return public

    async def close(self) -> None:
        """Release the system's resolver."""
        await self._resolver.close()


async def connect(
    host: str, port: int, *, allow_private: bool, written: bool = True, resolver: AbstractResolver | None = None
) -> socket.socket:
    """Return a socket that is connected to ``host``, by a protocol other than HTTP; the addresses are tried in turn.

    A number that is not ``written`` by the operator, but named by a server, is checked as the address of a name is.

    Raises:
        AddressRefused: the host leads to addresses that are not public, and that is not allowed.
        OSError: no address can be connected to.
    """
    number = numeric_address(host) or (host if ":" in host else None)
    if number is not None:
        if not (written or allow_private or is_public(number)):
            raise AddressRefused(
                f"a server names the address {number}, which is not public: "
                "if that is meant, say allow_private: true at the destination"
            )
        addresses = [number]
    else:
        public = PublicResolver(allow_private=allow_private, resolver=resolver)
        addresses = [found["host"] for found in await public.resolve(host, port)]
    failure: OSError = OSError(errno.EHOSTUNREACH, f"{host} has no address")
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio sets TCP_NODELAY by that
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, (address, port))
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure
