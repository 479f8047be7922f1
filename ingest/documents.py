"""Documents that a signature needs, as a provider's certificate: fetched over HTTPS from pinned hosts, and kept.

Anybody can name an address in a request, so the hosts are those of the scheme alone, exactly, on port 443, without
redirects; what is fetched is bounded in size, time and number. Weakness: addresses made up on a pinned host use up
the fetches, and until the next minute a certificate that is not kept yet is answered 503, which the provider repeats.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import aiohttp

from ingest.signature import InvalidSignature

BYTES_MAX = 64 * 1024
URL_CHARS_MAX = 500
TIMEOUT_S = 4.0
KEPT_MAX = 64
KEPT_S = 12 * 3600.0
ABSENT_MAX = 256
ABSENT_S = 60.0
FETCHES_MAX = 30  # in one window
WINDOW_S = 60.0

Fetch = Callable[[str], Awaitable[bytes | None]]


class DocumentUnavailable(Exception):
    """The document cannot be had now; the text says why."""


class Documents:
    """A cache of documents. ``fetch`` returns one, or ``None`` where the host says that there is none."""

    def __init__(self, fetch: Fetch, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._monotonic_s = monotonic_s
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._absent: OrderedDict[str, float] = OrderedDict()
        self._fetching: dict[str, asyncio.Future[bytes | None]] = {}
        self._window_end_s = 0.0
        self._fetches = 0

    async def get(self, url: str, *, hosts: tuple[str, ...]) -> bytes:
        """Return the document at ``url``.

        Raises:
            InvalidSignature: the address is not of one of ``hosts``, or there is no such document.
            DocumentUnavailable: it cannot be fetched now.
        """
        require_pinned(url, hosts)
        now_s = self._monotonic_s()
        kept = self._kept.get(url)
        if kept is not None and now_s < kept[0]:
            self._kept.move_to_end(url)
            return kept[1]
        if now_s < self._absent.get(url, 0.0):
            raise InvalidSignature("there is no such certificate")
        document = await self._fetch_once(url, now_s)
        if document is None:
            raise InvalidSignature("there is no such certificate")
        return document

    async def _fetch_once(self, url: str, now_s: float) -> bytes | None:
        """Fetch, or wait for who fetches the same."""
        running = self._fetching.get(url)
        if running is None:
            self._take_fetch(now_s)
            running = self._fetching[url] = asyncio.ensure_future(self._fetch(url))
            running.add_done_callback(lambda done: self._fetched(url, done))
        return await asyncio.shield(running)

    def _take_fetch(self, now_s: float) -> None:
        if now_s >= self._window_end_s:
            self._window_end_s, self._fetches = now_s + WINDOW_S, 0
        if self._fetches >= FETCHES_MAX:
            raise DocumentUnavailable(f"more than {FETCHES_MAX} documents were asked for in a minute")
        self._fetches += 1

    def _fetched(self, url: str, done: asyncio.Future[bytes | None]) -> None:
        del self._fetching[url]
        if done.cancelled() or done.exception() is not None:
            return
        document, now_s = done.result(), self._monotonic_s()
        if document is not None:
            self._kept[url] = (now_s + KEPT_S, document)
            if len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
        else:
            self._absent[url] = now_s + ABSENT_S
            if len(self._absent) > ABSENT_MAX:
                self._absent.popitem(last=False)


def require_pinned(url: str, hosts: tuple[str, ...]) -> None:
    """Return only if ``url`` is an https address of exactly one of ``hosts``.

    Raises:
        InvalidSignature: it is not.
    """
    if len(url) > URL_CHARS_MAX or not url.isascii() or not url.isprintable() or set(url) & set(" \\#@"):
        raise InvalidSignature("the certificate's address is not plain")
    try:
        parts = urlsplit(url)
        pinned = parts.scheme == "https" and parts.netloc in hosts
    except ValueError as error:
        raise InvalidSignature("the certificate's address is none") from error
    if not pinned:
        raise InvalidSignature("the certificate's address is not the provider's")


async def fetch_https(url: str) -> bytes | None:
    """Return the document at ``url``, or ``None`` for an answer of 4xx.

    Raises:
        DocumentUnavailable: no answer in time, another answer, or more than ``BYTES_MAX``.
    """
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            if 400 <= response.status < 500 and response.status not in (408, 429):
                return None
            if response.status != 200:
                raise DocumentUnavailable(f"the host of the certificate answers {response.status}")
            document = await response.content.read(BYTES_MAX + 1)
            while len(document) <= BYTES_MAX and not response.content.at_eof():
                document += await response.content.read(BYTES_MAX + 1 - len(document))
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise DocumentUnavailable(f"the host of the certificate cannot be reached: {_reason(error)}") from error
    if len(document) > BYTES_MAX:
        raise DocumentUnavailable(f"the certificate is larger than {BYTES_MAX} bytes")
    return document


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or "no connection could be made"
    return "the connection broke, or its answer is not HTTP"
