"""Credentials that are not the same with every call: made for one request, or fetched, kept and fetched anew."""

from __future__ import annotations

import asyncio
import base64
import copy
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol
from urllib.parse import quote_plus

from connectors.errors import CallError, CredentialsRefused, PermanentError

if TYPE_CHECKING:
    import httpx

    from connectors.answer import Answer

EXPIRES_S_DEFAULT = 3600.0  # where a server names none (RFC 6749 5.1 only recommends it)
EARLY_S = 30.0  # a token is renewed so long before it expires: it must outlast the call


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """How to ask for a token: a form, posted to ``url``."""

    url: str
    form: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


Ask = Callable[[TokenRequest], Awaitable["Answer"]]


class Auth(Protocol):
    """Gives each request what shows who sends it."""

    @property
    def urls(self) -> tuple[str, ...]:
        """Addresses besides the base URL that are called."""

    async def headers(self, request: httpx.Request, *, ask: Ask, now_s: float) -> Mapping[str, str]:
        """Return the headers to add to ``request``, which is otherwise complete; ``now_s`` is Unix time.

        Raises:
            CallError: there is no credential to be had.
        """

    async def refused(self, answer: Answer, headers: Mapping[str, str]) -> bool:
        """Return whether the answer refuses these headers, and new ones may do better."""

    def secrets(self) -> list[str]:
        """Return what is to be masked now, besides the destination's own secrets."""


class FixedHeaders:
    """Headers that are the same with every call, and that no call can replace by its own."""

    urls: tuple[str, ...] = ()

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = dict(headers)

    async def headers(self, request: httpx.Request, *, ask: Ask, now_s: float) -> Mapping[str, str]:
        """Return the headers."""
        return self._headers

    async def refused(self, answer: Answer, headers: Mapping[str, str]) -> bool:
        """Return that no others are to be had."""
        return False

    def secrets(self) -> list[str]:
        """Return nothing: the values are the destination's own secrets."""
        return []


class Token:
    """A bearer token, fetched when it is first needed, kept until shortly before it expires, and fetched by one.

    ``grant`` makes the request for one, given Unix time. Source: RFC 6749 4.4 and 5.1, RFC 6750 2.1.
    """

    def __init__(self, grant: Callable[[float], TokenRequest], *, url: str) -> None:
        self.urls: tuple[str, ...] = (url,)
        self._grant = grant
        self._turn = asyncio.Lock()
        self._token: str | None = None
        self._expires_s = 0.0
        self._failures = 0
        self._failure: CallError | None = None

    async def headers(self, request: httpx.Request, *, ask: Ask, now_s: float) -> Mapping[str, str]:
        """Return the header with a live token; whoever comes while one is fetched waits for it, or learns why not."""
        if self._token is None or now_s >= self._expires_s:
            failures = self._failures
            async with self._turn:
                if self._token is None or now_s >= self._expires_s:
                    if self._failure is not None and self._failures != failures:
                        raise copy.copy(self._failure)  # each call notes its own attempts on its own error
                    await self._fetch(ask, now_s)
        return {"authorization": f"Bearer {self._token}"}

    async def refused(self, answer: Answer, headers: Mapping[str, str]) -> bool:
        """Drop a token that is answered by 401, unless another call has a newer one: a try again has a new one."""
        if answer.status != 401:
            return False
        if headers.get("authorization") == f"Bearer {self._token}":
            self._token = None
        return True

    def secrets(self) -> list[str]:
        """Return the token, if there is one."""
        return [] if self._token is None else [self._token]

    async def _fetch(self, ask: Ask, now_s: float) -> None:
        try:
            self._token, self._expires_s = await self._given(ask, now_s)
        except CallError as error:
            # RFC 6749 5.2: 400 with invalid_client, invalid_grant and the like. No delivery is to blame for that.
            failure = copy.copy(error)
            if isinstance(error, PermanentError):
                failure = CredentialsRefused(str(error), status=error.status, excerpt=error.excerpt)
            failure.args = (f"no token was given: {error}",)
            self._failures, self._failure = self._failures + 1, failure
            raise copy.copy(failure) from None

    async def _given(self, ask: Ask, now_s: float) -> tuple[str, float]:
        """Return a new token, and until when it is used."""
        answer = await ask(self._grant(now_s))
        said = answer.json()
        token = said.get("access_token") if isinstance(said, dict) else None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or " " in token:
            raise CredentialsRefused("the answer holds no access_token", status=answer.status)
        expires_s = said.get("expires_in")
        lasts_s = float(expires_s) if isinstance(expires_s, int | float) and 0 < expires_s < 1e9 else EXPIRES_S_DEFAULT
        return token, now_s + max(lasts_s - EARLY_S, lasts_s / 2)


def client_credentials(
    token_url: str,
    *,
    client_id: str,
    client_secret: str,
    scope: str | None = None,
    audience: str | None = None,
    sent_in: Literal["header", "body"] = "header",
) -> Token:
    """Return OAuth 2 client credentials (RFC 6749 4.4), the client's own sent as Basic or in the form (2.3.1)."""
    form = {"grant_type": "client_credentials"}
    form |= {"scope": scope} if scope else {}
    form |= {"audience": audience} if audience else {}
    headers = {}
    if sent_in == "header":
        headers["authorization"] = basic(quote_plus(client_id), quote_plus(client_secret))
    else:
        form |= {"client_id": client_id, "client_secret": client_secret}
    request = TokenRequest(token_url, form, headers)
    return Token(lambda now_s: request, url=token_url)


def basic(user: str, password: str) -> str:
    """Return the value of ``Authorization`` for a user and password (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
