"""Addresses that a public name must not lead to: an attacker who chooses a name's address could reach what is inside.

A destination is a name that its operator wrote, but not the address that the name has: whoever keeps the name's DNS
zone decides that, call by call. So each address is checked as it is about to be connected to.
"""

from __future__ import annotations

import re
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_NUMBER = re.compile(r"(?:0[xX][0-9a-fA-F]{1,8}|[0-9]{1,11})(?:\.(?:0[xX][0-9a-fA-F]{1,8}|[0-9]{1,11})){0,3}", re.ASCII)
_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))  # RFC 6052, RFC 8215
_COMPATIBLE = IPv6Network("::/96")  # RFC 4291 2.5.5.1, deprecated, and still routed by some


class AddressRefused(OSError):
    """A name leads to addresses that are not public, and the destination does not allow that."""


def numeric_address(host: str) -> str | None:
    """Return the usual spelling of an IPv4 address that ``host`` is in any of the old ones; None for a name.

    ``127.1``, ``2130706433`` and ``0x7f.0.0.1`` are all 127.0.0.1, as inet_aton has it.
    """
    if _NUMBER.fullmatch(host) is None:
        return None
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None


def is_public(text: str) -> bool:
    """Return whether an address is one of the public internet: not private, loopback, link-local, shared or special.

    An IPv6 address that holds an IPv4 one (mapped, compatible, 6to4, Teredo, NAT64) is what that one is.
    """
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    inner = _within(address) if isinstance(address, IPv6Address) else None
    if inner is not None:
        return is_public(str(inner))
    return address.is_global and not address.is_multicast and not getattr(address, "is_site_local", False)


def _within(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _NAT64) or (address in _COMPATIBLE and int(address) > 1):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None
