"""HTTP to one destination: bounded in time, size and reach, and able to fail only with a `CallError`.

httpx requests over aiohttp's connections (docs/adr/): the pool of httpx itself is quadratic in the calls in flight.
Requests go to the transport directly, since `httpx.AsyncClient.send` doubles the cost of a call with cookies,
authentication and decoding that are not wanted here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from connectors.answer import Answer, read_body
from connectors.answers import LIMIT_HEADERS, error_for, exhausted_s, explain
from connectors.attempt import EXCERPT_CHARS_MAX
from connectors.auth import TokenRequest
from connectors.connections import open_connections
from connectors.content import Form, Parts, encode
from connectors.dialect import Dialect
from connectors.endpoint import Endpoint, Scalar, check_headers, join_url
from connectors.errors import CallError, PermanentError, Unreachable
from connectors.masking import Mask
from connectors.quota import Quota, read_quota
from connectors.reasons import reason_of
from connectors.redirects import REDIRECTS_MAX, redirected
from connectors.tracing import TRACEPARENT, Tracing

EXPLANATION_CHARS_MAX = 200
FETCHED_MAX = 4  # tokens that are masked

# Not asked for, so nothing has to be inflated within bounds.
BASE_HEADERS = {"user-agent": "headrace", "accept": "*/*", "accept-encoding": "identity"}


class Session:
    """The connections of one destination, shared by its calls. Calls in flight are bounded by the destination."""

    def __init__(
        self,
        endpoint: Endpoint | None,
        *,
        secrets: Iterable[str] = (),
        dialect: Dialect | None = None,
        on_exhausted: Callable[[float], None] = lambda wait_s: None,
        on_quota: Callable[[Quota], None] = lambda quota: None,
        tracing: Tracing | None = None,
        unix_time: Callable[[], float] = time.time,
    ) -> None:
        """Prepare a session; `start` opens it.

        ``secrets`` are cut out of what services say about a failure. ``on_exhausted`` gets the seconds until a quota
        that an answer calls used up is filled again, and ``on_quota`` what an answer says is left of it.
        """
        self._endpoint = endpoint
        self._dialect = dialect or Dialect()
        self._headers = {**BASE_HEADERS, **({k.lower(): v for k, v in endpoint.headers.items()} if endpoint else {})}
        # Parsing takes a tenth of a call, and the paths of most routes are few. 256 paths of 8 KiB are 2 MiB at most.
        self._url = lru_cache(maxsize=256)(self._join)
        self._secrets = [*secrets, *(endpoint.secrets if endpoint else ())]
        self._fetched: list[str] = []  # the last tokens: an answer may repeat the one before
        self.mask = Mask(self._secrets)
        self._on_exhausted, self._on_quota = on_exhausted, on_quota
        self.tracing = tracing or Tracing()
        self._unix_time = unix_time
        self._transport: AiohttpTransport | None = None

    async def start(self) -> None:
        """Open the session; connections are made by the calls.

        Raises:
            ValueError: its certificates cannot be used.
        """
        if self._endpoint is not None:
            self._transport = open_connections(self._endpoint)

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
        return httpx.URL(join_url(self._endpoint.base_url, path, query, self._endpoint.query))

    async def send(self, request: httpx.Request) -> Answer:
        """Return the answer, which is of status 2xx.

        Redirects within the host are followed as `connectors.redirects` says.

        Raises:
            PermanentError, TransientError, RateLimited, CredentialsRefused: as `connectors.answers.RULES` says, and
                what the connector's dialect excepts from it.
            Unreachable: no connection, or it broke.
        """
        answer = await self._authorized(request)
        for _ in range(REDIRECTS_MAX):
            if not 300 <= answer.status <= 399:
                break
            further = redirected(request, answer.status, answer.headers.get("location"))
            if further is None:
                break
            request = further
            answer = await self._authorized(request)
        return self._judge(answer)

    async def _authorized(self, request: httpx.Request) -> Answer:
        auth = self._endpoint.auth if self._endpoint else None
        if auth is None:
            return await self._exchange(request)
        # A service may have forgotten a token before it expired: a new one is tried once.
        for last in (False, True):
            headers = await auth.headers(request, ask=self._ask, now_s=self._unix_time())
            self._hide(auth.secrets())
            request.headers.update(headers)
            answer = await self._exchange(request)
            if answer.status < 400 or last or not await auth.refused(answer, headers):
                break
        return answer

    def _hide(self, fetched: list[str]) -> None:
        if new := [secret for secret in fetched if secret not in self._fetched]:
            self._fetched = [*self._fetched, *new][-FETCHED_MAX:]
            self.mask = Mask([*self._secrets, *self._fetched])

    async def _ask(self, wanted: TokenRequest) -> Answer:
        """Ask for a token: an exchange like any other, but that it carries no credential of the destination's."""
        headers = {**BASE_HEADERS, **wanted.headers, "content-type": "application/x-www-form-urlencoded"}
        request = httpx.Request("POST", wanted.url, headers=headers, content=urlencode(wanted.form).encode())
        answer = await self._exchange(request)
        return self._judge(answer, dialect=Dialect())

    async def _exchange(self, request: httpx.Request) -> Answer:
        if self._transport is None:
            raise Unreachable("the destination is closed")
        # The causes are dropped ("from None"): aiohttp's exceptions show requests, with their headers.
        try:
            response = await self._transport.handle_async_request(request)
        except httpx.UnsupportedProtocol:
            raise PermanentError("the request cannot be sent: not a valid URL") from None
        except (httpx.HTTPError, aiohttp.ClientError, OSError, RuntimeError) as error:
            raise Unreachable(f"the destination could not be reached: {reason_of(error)}") from None
        body, whole = await read_body(response)
        return Answer(response.status_code, response.headers, body, truncated=not whole)

    def _judge(self, answer: Answer, dialect: Dialect | None = None) -> Answer:
        status, body = answer.status, answer.body
        limits = {name.lower(): value for name, value in answer.headers.raw if name.lower() in LIMIT_HEADERS}
        now_s = self._unix_time()
        if limits:
            wait_s = exhausted_s(limits, now_s=now_s)
            if wait_s is not None:
                self._on_exhausted(wait_s)
            if (quota := read_quota(limits, now_s=now_s)) is not None:
                self._on_quota(quota)
        dialect = dialect or self._dialect
        rule = dialect.rule_for(answer)
        if rule is None and 200 <= status <= 299:
            return answer
        error = error_for(
            status,
            limits,
            now_s=now_s,
            explanation=self._explanation(body, dialect.code(answer)),
            rule=rule,
            wait_s=dialect.wait_s(answer, now_s),
        )
        if error is None:
            return answer
        error.excerpt = self._excerpt(body)
        raise error

    def _explanation(self, body: bytes, code: str) -> str:
        text = explain(body, mask=self.mask.text)
        if code and code not in text:
            text = f"{code}: {text}" if text else code
        return self.mask.text(text)[:EXPLANATION_CHARS_MAX]

    def _excerpt(self, body: bytes) -> str:
        # Masked before it is cut: a secret across the cut would be cut in two, and not be found.
        bytes_max = 4 * (EXCERPT_CHARS_MAX + self.mask.chars_max)
        text = body[:bytes_max].decode(errors="replace")
        return self.mask.beginning(text, whole=len(body) <= bytes_max)[:EXCERPT_CHARS_MAX]


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
        form: Form | None = None,
        multipart: Parts | None = None,
        body: str | bytes | None = None,
        query: Mapping[str, Scalar | list[Scalar]] | None = None,
        headers: Mapping[str, str] | None = None,
        own_headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Return the destination's answer, of status 2xx, to one request under its base URL.

        At most one of ``json``, ``form``, ``multipart`` and ``body`` is given. ``headers`` may come from an event, and
        are checked; ``own_headers`` are the connector's, credentials among them, and win.

        Raises:
            PermanentError: the request cannot be built, or the destination refuses it.
            TransientError: it may succeed later; `Unreachable` and `RateLimited` are kinds of it.
            CredentialsRefused: 401 or 403.
        """
        content_type, content = encode(json=json, form=form, multipart=multipart, body=body)
        try:
            own = check_headers(headers) if headers else {}
        except ValueError as error:
            raise PermanentError(f"the request cannot be sent: {error}") from None
        if content_type and ("content-type" not in own or multipart is not None):
            own["content-type"] = content_type
        own["idempotency-key"] = self.idempotency_key
        if self.session.tracing.on:
            own.setdefault(TRACEPARENT, self.session.tracing.traceparent())
        own |= own_headers or {}
        request = self.session.build(method, path, query, own, content)
        try:
            answer = await self.session.send(request)
        except CallError as error:
            self.status = error.status
            raise
        self.status = answer.status
        return answer
