"""A name server as Docker's own is one: each service has the addresses of its containers, and they change."""

from __future__ import annotations

import socket
import struct
import threading

_A, _NAME_ERROR, _TTL_S = 1, 3, 1


class NameServer:
    """Answers A queries over UDP on loopback from ``addresses``, which may be changed at any time."""

    def __init__(self) -> None:
        self.addresses: dict[str, list[str]] = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def start(self) -> NameServer:
        self._thread.start()
        return self

    def stop(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            query, client = self._socket.recvfrom(4096)
            if not query:
                return
            self._socket.sendto(self._answer(query), client)

    def _answer(self, query: bytes) -> bytes:
        name, end = _name(query)
        (kind,) = struct.unpack_from("!H", query, end)
        found = self.addresses.get(name)
        records = [socket.inet_aton(one) for one in found or ()] if kind == _A else []
        flags = 0x8180 if found is not None else 0x8180 | _NAME_ERROR
        head = query[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0)
        answers = b"".join(struct.pack("!HHHIH", 0xC00C, _A, 1, _TTL_S, 4) + address for address in records)
        return head + query[12 : end + 4] + answers


def _name(query: bytes) -> tuple[str, int]:
    """Return the name that is asked for, and where it ends."""
    labels, at = [], 12
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels), at + 1
