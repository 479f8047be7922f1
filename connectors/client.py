"""HTTP to one destination: bounded in time, size and reach, and able to fail only with a `CallError`.

httpx requests over aiohttp's connections (docs/adr/): the pool of httpx itself is quadratic in the calls in flight.
Requests go to the transport directly, since `httpx.AsyncClient.send` doubles the cost of a call with redirects,
cookies, authentication and decoding that are not wanted here.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast
from urllib.parse import urlencode

import aiohttp
import httpx
import orjson
from httpx_aiohttp import AiohttpTransport

from connectors.answers import LIMIT_HEADERS, error_for, exhausted_s, explain
from connectors.attempt import EXCERPT_CHARS_MAX
from connectors.endpoint import Endpoint, Scalar, check_headers, join_url
from connectors.errors import CallError, PermanentError, TransientError, Unreachable
from connectors.masking import Mask

ANSWER_BYTES_MAX = 1024 * 1024  # of an answer's body; what follows is not read, and its connection closed
EXPLANATION_CHARS_MAX = 200
KEEPALIVE_S = 15.0

# Not asked for, so nothing has to be inflated within bounds.
BASE_HEADERS = {"user-agent": "headrace", "accept": "*/*", "accept-encoding": "identity"}


@dataclass(frozen=True, slots=True)
class Answer:
    """An accepted call's answer. ``body`` is raw and at most 1 MiB; ``truncated`` says that there was more."""

    status: int
    headers: httpx.Headers = field(repr=False)
    body: bytes = field(repr=False)
    truncated: bool = False

    def json(self) -> Any:
        """Return the parsed body.

        Raises:
            TransientError: it is not JSON, or was cut short.
        """
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            raise TransientError(
                f"the destination answered {self.status} with a body that is not JSON", status=self.status
            ) from None


class Session:
    """The connections of one destination, shared by its calls. Calls in flight are bounded by the destination."""

    def __init__(
        self,
        endpoint: Endpoint | None,
        *,
        secrets: Iterable[str] = (),
        on_exhausted: Callable[[float], None] = lambda wait_s: None,
        unix_time: Callable[[], float] = time.time,
    ) -> None:
        """Prepare a session; `start` opens it.

        ``secrets`` are cut out of what services say about a failure. ``on_exhausted`` gets the seconds until a quota
        that an answer calls used up is filled again.
        """
        self._endpoint = endpoint
        self._headers = {**BASE_HEADERS, **({k.lower(): v for k, v in endpoint.headers.items()} if endpoint else {})}
        # Parsing takes a tenth of a call, and the paths of most routes are few. 256 paths of 8 KiB are 2 MiB at most.
        self._url = lru_cache(maxsize=256)(self._join)
        self.mask = Mask(secrets)
        self._on_exhausted = on_exhausted
        self._unix_time = unix_time
        self._transport: AiohttpTransport | None = None

    async def start(self) -> None:
        """Open the session; connections are made by the calls."""
        if self._endpoint is None:
            return
        context = httpx.create_ssl_context(trust_env=False)
        connections = aiohttp.TCPConnector(limit=0, ssl=context, keepalive_timeout=KEEPALIVE_S)
        # A session without trust_env reads no proxy and no .netrc from the environment.
        session = aiohttp.ClientSession(connector=connections, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
        self._transport = AiohttpTransport(verify=context, trust_env=False, client=session)

    async def close(self) -> None:
        """Close every connection; calls in flight fail with `Unreachable`."""
        if self._transport is not None:
            await self._transport.aclose()

    def client(self, idempotency_key: str) -> Client:
        """Return the client of one call."""
        return Client(self, idempotency_key)

    def build(
        self, method: str, path: str, query: Mapping[str, Any] | None, headers: dict[str, str], content: bytes | None
    ) -> httpx.Request:
        """Return the request, credentials included.

        Raises:
            PermanentError: no such request can be sent.
        """
        try:
            url = self._join(path, query) if query else self._url(path)
            return httpx.Request(method, url, headers={**self._headers, **headers}, content=content)
        except UnicodeError:
            raise PermanentError("the request holds a character that cannot be encoded") from None
        except (httpx.InvalidURL, ValueError, TypeError) as error:
            raise PermanentError(f"the request cannot be sent: {error}") from None

    def _join(self, path: str, query: Mapping[str, Any] | None = None) -> httpx.URL:
        if self._endpoint is None:
            raise PermanentError("this connector makes no HTTP calls")
        return httpx.URL(join_url(self._endpoint.base_url, path, query))

    async def send(self, request: httpx.Request) -> Answer:
        """Return the answer, which is of status 2xx.

        Raises:
            PermanentError, TransientError, RateLimited, CredentialsRefused: as `connectors.answers.RULES` says.
            Unreachable: no connection, or it broke.
        """
        if self._transport is None:
            raise Unreachable("the destination is closed")
        # The causes are dropped ("from None"): aiohttp's exceptions show requests, with their headers.
        try:
            response = await self._transport.handle_async_request(request)
        except httpx.UnsupportedProtocol:
            raise PermanentError("the request cannot be sent: not a valid URL") from None
        except (httpx.HTTPError, aiohttp.ClientError, OSError, RuntimeError) as error:
            raise Unreachable(f"the destination could not be reached: {_reason(error)}") from None
        body, whole = await _read(response)
        return self._judge(response, body, truncated=not whole)

    def _judge(self, response: httpx.Response, body: bytes, *, truncated: bool) -> Answer:
        status, headers = response.status_code, response.headers
        limits = {name.lower(): value for name, value in headers.raw if name.lower() in LIMIT_HEADERS}
        now_s = self._unix_time()
        if limits:
            wait_s = exhausted_s(limits, now_s=now_s)
            if wait_s is not None:
                self._on_exhausted(wait_s)
        if 200 <= status <= 299:
            return Answer(status, headers, body, truncated)
        error = error_for(status, limits, now_s=now_s, explanation=self._explanation(body))
        assert error is not None  # noqa: S101  for mypy: only 2xx gives None
        error.excerpt = self._excerpt(body)
        raise error

    def _explanation(self, body: bytes) -> str:
        return self.mask.text(explain(body))[:EXPLANATION_CHARS_MAX]

    def _excerpt(self, body: bytes) -> str:
        # Masked before it is cut: a secret across the cut would be cut in two, and not be found.
        text = body[: 4 * (EXCERPT_CHARS_MAX + self.mask.chars_max)].decode(errors="replace")
        return self.mask.text(text)[:EXCERPT_CHARS_MAX]


@dataclass(slots=True)
class Client:
    """The session as one call sees it: every request carries the call's ``Idempotency-Key``.

    ``status`` is that of the last answer.
    """

    session: Session = field(repr=False)
    idempotency_key: str
    status: int | None = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        form: Mapping[str, Scalar | list[Scalar]] | None = None,
        body: str | bytes | None = None,
        query: Mapping[str, Scalar | list[Scalar]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Return the destination's answer, of status 2xx, to one request under its base URL.

        At most one of ``json``, ``form`` and ``body`` is given. Redirects are not followed.

        Raises:
            PermanentError: the request cannot be built, or the destination refuses it.
            TransientError: it may succeed later; `Unreachable` and `RateLimited` are kinds of it.
            CredentialsRefused: 401 or 403.
        """
        content_type, content = _content(json, form, body)
        try:
            own = check_headers(headers) if headers else {}
        except ValueError as error:
            raise PermanentError(f"the request cannot be sent: {error}") from None
        if content_type and "content-type" not in own:
            own["content-type"] = content_type
        own["idempotency-key"] = self.idempotency_key
        request = self.session.build(method, path, query, own, content)
        try:
            answer = await self.session.send(request)
        except CallError as error:
            self.status = error.status
            raise
        self.status = answer.status
        return answer


def _content(json: object, form: Mapping[str, Any] | None, body: str | bytes | None) -> tuple[str, bytes | None]:
    if sum(value is not None for value in (json, form, body)) > 1:
        raise PermanentError("only one of json, form and body can be sent")
    try:
        if json is not None:
            return "application/json", orjson.dumps(json)
        if form is not None:
            return "application/x-www-form-urlencoded", urlencode(form, doseq=True).encode()
        if isinstance(body, str):
            return "text/plain; charset=utf-8", body.encode()
    except (TypeError, ValueError):  # values that JSON lacks, numbers beyond 64 bits, lone surrogates
        raise PermanentError("the body cannot be encoded") from None
    return ("application/octet-stream", body) if body is not None else ("", None)


async def _read(response: httpx.Response) -> tuple[bytes, bool]:
    """Return the body up to its bound, and whether that is all of it.

    A body that breaks off changes nothing about what the status says: an accepted call is not repeated for it.
    """
    stream = cast(httpx.AsyncByteStream, response.stream)
    body = bytearray()
    whole = True
    try:
        async with aclosing(cast(AsyncGenerator[bytes, None], stream.__aiter__())) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > ANSWER_BYTES_MAX:
                    whole = False
                    break
    except (httpx.HTTPError, aiohttp.ClientError, OSError, RuntimeError):
        whole = False
    finally:
        await stream.aclose()
    return bytes(body[:ANSWER_BYTES_MAX]), whole


def _reason(error: BaseException) -> str:
    """Return the class of what went wrong, and the system's word for it: texts and causes may show headers."""
    cause = error.__cause__ or error
    number = getattr(cause, "errno", None)
    system = getattr(getattr(cause, "os_error", cause), "strerror", None)
    return type(cause).__name__ + (f" ({system})" if isinstance(number, int) and system else "")
