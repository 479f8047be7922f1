"""Names to addresses, of which only those are given out that may be connected to."""

from __future__ import annotations

import socket

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from connectors.addresses import AddressRefused, is_public


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
