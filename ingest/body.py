"""Reading a request's raw body within bounds of size, time and the memory of all requests together."""

from __future__ import annotations

import asyncio

from aiohttp import web


class NoLength(Exception):
    """The request has neither Content-Length nor a chunked body."""


class TooLarge(Exception):
    """The body is larger than the source allows."""


class TooSlow(Exception):
    """The body did not arrive in time."""


class WouldOverflow(Exception):
    """The bodies in flight would take more memory than they may."""


class BodyReader:
    """Reads bodies and counts the bytes that are held; `release` what was read when it is no longer needed."""

    def __init__(self, *, bytes_in_flight_max: int, timeout_s: float) -> None:
        self._bytes_in_flight_max = bytes_in_flight_max
        self._timeout_s = timeout_s
        self.bytes_in_flight = 0

    async def read(self, request: web.BaseRequest, *, bytes_max: int) -> bytes:
        """Return the whole body, exactly as sent: nothing is inflated.

        Raises:
            NoLength, TooLarge: before anything is read, where the headers say so.
            TooLarge, TooSlow, WouldOverflow: while reading; nothing is held then.
        """
        declared = request.headers.get("Content-Length")
        if declared is None:
            if "Transfer-Encoding" not in request.headers:
                raise NoLength
        elif int(declared) > bytes_max:  # digits alone: the HTTP parser refuses anything else
            raise TooLarge
        content = request.content
        if content.is_eof():  # the usual case: it came with the headers
            body: bytes = content.read_nowait()
            _require_at_most(bytes_max, len(body))
            self._hold(len(body))
            return body
        return await self._read_slowly(request, bytes_max)

    @property
    def used_ratio(self) -> float:
        """The used share of what all bodies together may take."""
        return self.bytes_in_flight / self._bytes_in_flight_max

    def release(self, size: int) -> None:
        """Give back ``size`` bytes."""
        self.bytes_in_flight -= size

    async def _read_slowly(self, request: web.BaseRequest, bytes_max: int) -> bytes:
        content = request.content
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._timeout_s):
                if request.headers.get("Expect", "").lower() == "100-continue":
                    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                    request.writer.output_size = 0  # that was no answer yet
                while not content.at_eof():
                    chunk = await content.readany()
                    self._hold(len(chunk), self._bytes_in_flight_max // 2)  # the rest is for bodies that come at once
                    size += len(chunk)
                    _require_at_most(bytes_max, size)
                    chunks.append(chunk)
        except TimeoutError as error:
            self.release(size)
            raise TooSlow from error
        except BaseException:
            self.release(size)
            raise
        return b"".join(chunks)

    def _hold(self, size: int, bytes_max: int | None = None) -> None:
        if self.bytes_in_flight + size > (self._bytes_in_flight_max if bytes_max is None else bytes_max):
            raise WouldOverflow
        self.bytes_in_flight += size


def _require_at_most(bytes_max: int, size: int) -> None:
    if size > bytes_max:
        raise TooLarge
