"""Sockets for the public port: one, or one for each of several processes."""

from __future__ import annotations

import socket

BACKLOG = 1024


class PortTaken(Exception):
    """The port cannot be bound; the text names it."""


def bind(host: str, port: int, count: int = 1) -> list[socket.socket]:
    """Return ``count`` listening sockets on one port; port 0 takes a free one.

    Each has a queue of its own, to which the kernel deals connections evenly (socket(7), SO_REUSEPORT). A queue lives
    as long as one process has its socket open: so it outlives the process that serves it, if another holds it too.

    Raises:
        PortTaken: another program listens there, or the address is not ours to bind.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sockets: list[socket.socket] = []
    try:
        # The first is bound alone: sharing would let a second headrace take half of the first one's events.
        sockets.append(_listen(family, host, port, shared=False))
        if count == 1:
            return sockets
        sockets.pop().close()
        for _ in range(count):
            sockets.append(_listen(family, host, port, shared=True))
            port = sockets[0].getsockname()[1]
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise PortTaken(f"port {port} on {host}: {error.strerror or error}") from error
    return sockets


def _listen(family: socket.AddressFamily, host: str, port: int, *, shared: bool) -> socket.socket:
    sock = socket.socket(family)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    sock.setblocking(False)
    return sock
