"""JSON objects over a socket, each behind its length: how a worker and the process of the user's functions speak."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from typing import Any

FRAME_BYTES_MAX = 256 * 1024 * 1024  # the largest body there is, as JSON with every character escaped, fits
_LENGTH = struct.Struct("!I")


def pack(frame: dict[str, Any]) -> bytes:
    """Return a frame as it is sent; raises `TypeError` or `ValueError` for what JSON cannot hold."""
    body = json.dumps(frame).encode()
    if len(body) > FRAME_BYTES_MAX:
        raise ValueError(f"larger than {FRAME_BYTES_MAX} bytes")
    return _LENGTH.pack(len(body)) + body


async def read_frame(reader: asyncio.StreamReader) -> dict[str, Any]:
    """Return the next frame; raises `EOFError` when the other side has ended, or does not speak like this."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > FRAME_BYTES_MAX:
            raise EOFError
        return _object(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, OSError, ValueError):
        raise EOFError from None


def receive_frame(sock: socket.socket) -> dict[str, Any]:
    """Return the next frame, blocking; raises as `read_frame`."""
    try:
        (length,) = _LENGTH.unpack(_receive(sock, _LENGTH.size))
        return _object(_receive(sock, length))
    except (OSError, ValueError):
        raise EOFError from None


def _object(body: bytes) -> dict[str, Any]:
    frame = json.loads(body)
    if not isinstance(frame, dict):
        raise EOFError  # noqa: TRY004  as for anything else that is no frame
    return frame


def _receive(sock: socket.socket, length: int) -> bytes:
    received = bytearray()
    while len(received) < length:
        chunk = sock.recv(min(length - len(received), 1024 * 1024))
        if not chunk:
            raise EOFError
        received += chunk
    return bytes(received)
