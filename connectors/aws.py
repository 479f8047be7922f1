"""Signatures of AWS, with keys that stand in the environment or that are found as AWS's own tools find them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from connectors.auth import Ask
from connectors.errors import CallError, CredentialsRefused, Unreachable

if TYPE_CHECKING:
    import httpx
    from botocore.credentials import Credentials

    from connectors.answer import Answer

log = structlog.get_logger("connectors")

EARLY_S = 60  # keys that last no longer are not used: a call, with its time on the way, has to end before
AGAIN_S = 30.0  # after a renewal that failed while the keys still hold
STS_CONNECT_S_MAX, STS_READ_S_MAX = 2, 5

_CODE = re.compile(rb"<Code>([A-Za-z0-9.]{1,64})</Code>")
_STALE = frozenset({"ExpiredToken", "InvalidToken", "TokenRefreshRequired", "InvalidAccessKeyId"})


def code_of(answer: Answer) -> str:
    """Return the error code of an answer in XML, ``""`` if it has none."""
    found = _CODE.search(answer.body[:4096])
    return found[1].decode() if found else ""


@dataclass(frozen=True, slots=True)
class Keys:
    """What requests are signed with; temporary keys have a token."""

    key_id: str
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


class KeySource(Protocol):
    """Where keys come from."""

    async def keys(self) -> Keys:
        """Return keys that hold for the next call.

        Raises:
            CallError: there are none.
        """

    async def renewed(self) -> bool:
        """Look for other keys, since these were refused; return whether there are some."""

    def secrets(self) -> list[str]:
        """Return what is to be masked, besides the destination's own secrets."""


class FixedKeys:
    """Keys of the environment."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def keys(self) -> Keys:
        """Return the keys."""
        return self._keys

    async def renewed(self) -> bool:
        """Return that there are no others."""
        return False

    def secrets(self) -> list[str]:
        """Return nothing: they are the destination's own."""
        return []


class DefaultChain:
    """Keys of AWS's default provider chain, renewed before they expire.

    The chain asks, in this order, the environment, a web identity, the shared files, a container's endpoint and the
    metadata service of the instance. It blocks, so that it runs in a thread: one at a time for a destination, which all
    calls wait for that have no keys. Keys that hold longer than a minute are used while they are renewed.

    A thread cannot be stopped: a chain that hangs holds it until botocore's own bounds (some ten seconds) are over, and
    the end of the process too.

    Source: boto3.amazonaws.com, "Credentials"; botocore.credentials, `RefreshableCredentials`.
    """

    def __init__(self, region: str, *, now: Callable[[], float] | None = None) -> None:
        self._region = region
        self._now = now or (lambda: asyncio.get_running_loop().time())
        self._found: Credentials | None = None
        self._keys: Keys | None = None
        self._asking: asyncio.Task[Keys] | None = None
        self._again_s = 0.0

    async def keys(self) -> Keys:
        """Return keys that hold for a minute at least.

        Raises:
            Unreachable: the chain has none now; the instance's service may be away.
            CredentialsRefused: what it is told in files or the environment makes no sense, or AWS refuses the role.
        """
        keys = self._keys
        if keys is None or self._expires_within(EARLY_S):
            return await self._ask()
        if self._expires_within(None) and self._now() >= self._again_s:
            self._again_s = self._now() + AGAIN_S
            self._start()
        return keys

    async def renewed(self) -> bool:
        """Ask the whole chain again: keys in a file may have been rotated, or the clock is wrong."""
        before, self._found = self._keys, None
        try:
            return await self._ask() != before
        except CallError:
            return False

    def secrets(self) -> list[str]:
        """Return the secret and the token that requests are signed with now."""
        keys = self._keys
        return [] if keys is None else [keys.secret, *([keys.token] if keys.token else [])]

    def _expires_within(self, seconds: int | None) -> bool:
        """Return whether the keys hold no longer than this; None is botocore's own time to renew them."""
        refresh_needed = getattr(self._found, "refresh_needed", None)  # keys that expire have it
        return refresh_needed is not None and bool(refresh_needed(seconds))

    async def _ask(self) -> Keys:
        try:
            return await asyncio.shield(self._start())
        except CallError as error:
            raise type(error)(str(error)) from None  # each call notes its own attempts on its own error

    def _start(self) -> asyncio.Task[Keys]:
        if self._asking is None:
            self._asking = asyncio.create_task(self._fetch())
            self._asking.add_done_callback(lambda task: task.cancelled() or task.exception())  # seen, if by nobody
        return self._asking

    async def _fetch(self) -> Keys:
        keys = self._keys
        try:
            self._found, fetched = await asyncio.to_thread(_ask_chain, self._found, self._region)
        except Exception as error:
            told = _error_of(error)
            if keys is None or self._found is None or self._expires_within(EARLY_S):
                raise told from None
            log.warning("aws_credentials_not_renewed", error=str(told))
            return keys
        finally:
            self._asking = None
        self._keys = fetched
        return fetched


class Signer:
    """Signs each request to S3 by AWS Signature Version 4, with the libraries of AWS."""

    urls: tuple[str, ...] = ()

    def __init__(self, source: KeySource, region: str) -> None:
        self._source, self._region = source, region

    async def headers(self, request: httpx.Request, *, ask: Ask, now_s: float) -> Mapping[str, str]:
        """Return the signature and what belongs to it."""
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        keys = await self._source.keys()
        signed = {
            name: value
            for name, value in request.headers.items()
            if name.startswith("x-amz-") and name not in ("x-amz-date", "x-amz-security-token")  # of a try before
        }
        signed |= {name: request.headers[name] for name in ("content-type", "host") if name in request.headers}
        unsigned = AWSRequest(request.method, str(request.url), headers=signed, data=request.content)
        S3SigV4Auth(Credentials(keys.key_id, keys.secret, keys.token), "s3", self._region).add_auth(unsigned)
        return {name.lower(): value for name, value in unsigned.headers.items() if name.lower() != "host"}

    async def refused(self, answer: Answer, headers: Mapping[str, str]) -> bool:
        """Return whether the keys were refused, and there are others by now."""
        return answer.status in (400, 401, 403) and code_of(answer) in _STALE and await self._source.renewed()

    def secrets(self) -> list[str]:
        """Return what the keys bring."""
        return self._source.secrets()


def _ask_chain(found: Credentials | None, region: str) -> tuple[Any, Keys]:
    """Return the chain's credentials and the keys that they hold now. Blocks."""
    from botocore.config import Config
    from botocore.session import Session

    if found is None:
        session = Session()
        session.set_config_variable("region", region)
        retries = {"total_max_attempts": 1}  # a delivery is tried again anyway
        session.set_default_client_config(
            Config(connect_timeout=STS_CONNECT_S_MAX, read_timeout=STS_READ_S_MAX, retries=retries)
        )
        found = session.get_credentials()
    if found is None:
        raise _NoCredentials
    frozen = found.get_frozen_credentials()
    return found, Keys(frozen.access_key, frozen.secret_key, frozen.token)


class _NoCredentials(Exception):
    """The chain is asked to its end, and nothing has keys."""


def _error_of(error: Exception) -> CallError:
    """Return what it means that the chain has no keys; of its own words none is shown but AWS's code."""
    from botocore import exceptions as aws

    if isinstance(error, _NoCredentials):
        return Unreachable(
            "the default chain of AWS has no credentials now: not the environment, a web identity, the shared files, "
            "a container's endpoint or the metadata service of the instance"
        )
    if isinstance(error, aws.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = str(error.response.get("Error", {}).get("Code", ""))[:64]
        if 400 <= status <= 499 and code not in ("Throttling", "RequestLimitExceeded"):
            return CredentialsRefused(f"AWS gives no credentials for the role: {code}")
        return Unreachable(f"AWS gives no credentials for the role now: {code}")
    told_wrong = {
        aws.PartialCredentialsError: "it has one key of two",
        aws.ProfileNotFound: "it has no profile of the name in AWS_PROFILE",
        aws.ConfigParseError: "a shared file cannot be read",
        aws.ConfigNotFound: "a shared file is missing",
        aws.InvalidConfigError: "a profile holds what it cannot",
        aws.InfiniteLoopConfigError: "profiles name one another in a circle",
        aws.UnknownCredentialError: "credential_source names none that there is",
    }
    for kind, why in told_wrong.items():
        if isinstance(error, kind):
            return CredentialsRefused(f"the default chain of AWS is configured wrongly: {why}")
    if isinstance(error, aws.HTTPClientError):
        why = "whoever gives them could not be reached"
    elif isinstance(error, aws.CredentialRetrievalError | aws.MetadataRetrievalError):
        why = "whoever gives them failed"
    else:
        why = f"unexpected {type(error).__name__}"
    return Unreachable(f"the default chain of AWS gives no credentials now: {why}")
