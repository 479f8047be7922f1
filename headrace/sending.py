"""Posting signed events, as a provider would: what ``headrace send`` does."""

from __future__ import annotations

import asyncio
import itertools
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson
from yarl import URL

from connectors.reasons import reason_of
from ingest.scheme import CannotSign
from ingest.signature import SignedRequest
from ingest.signing import sample_body, signed_request, with_id
from ingest.sources import Source

CONCURRENCY = 16
SPOOLED = "in the spool until Kafka is back:"
TIMEOUT_S = 30.0

_ID_PATH = re.compile(r"\s*(?:\{\{)?\s*body\.([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\s*(?:\}\})?\s*", re.ASCII)


class NotSent(Exception):
    """An event was refused, or nobody answered; the text says which."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The answer to an accepted event; a handshake has no receipt, and of a batch it is one for each event.

    Where Kafka is away the spool has the event, which gets its receipt later: `SPOOLED` and its id stand for it.
    """

    id: str
    receipt: str | None


@dataclass(frozen=True, slots=True)
class Shipment:
    """What to send: ``body`` ``None`` stands for the scheme's sample; each of ``count`` events has its own id.

    ``signing_key`` is for a provider that signs with a private key, of which the source's secret is the public one.
    """

    source: Source
    url: str
    body: bytes | None = None
    content_type: str | None = None
    signing_key: bytes | None = None
    count: int = 1
    rate_per_s: float | None = None
    event_id: str | None = None

    def ids(self) -> list[str]:
        """Return the id of each event."""
        if self.event_id is None:
            return [str(uuid.uuid4()) for _ in range(self.count)]
        if self.count == 1:
            return [self.event_id]
        return [f"{self.event_id}-{number}" for number in range(1, self.count + 1)]

    def body_with(self, event_id: str) -> bytes:
        """Return the body to send. A file is sent as it is, unless its id is in it and it must have another."""
        path = id_path(self.source)
        if self.body is None:
            return sample_body(self.source.scheme, path or ["id"], event_id)
        if path is None or (self.count == 1 and self.event_id is None):
            return self.body
        try:
            parsed = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return self.body
        fits = isinstance(parsed, list) if path[0].isdecimal() else isinstance(parsed, dict)
        return orjson.dumps(with_id(parsed, path, event_id)) if fits else self.body

    def request_with(self, event_id: str, *, now_s: float) -> SignedRequest:
        """Return the signed request of one event; raises `ingest.scheme.CannotSign`."""
        of_sample = self.source.scheme.content_type if self.body is None else "application/json"
        return signed_request(
            self.source,
            self.body_with(event_id),
            url=self.url,
            content_type=self.content_type or of_sample,
            secret=self.signing_key or self.source.secrets[0],
            now_s=now_s,
            event_id=event_id,
        )


def id_path(source: Source) -> list[str] | None:
    """Return where in the body the event's id is, if it is there."""
    if source.settings.event_id is not None:
        match = _ID_PATH.fullmatch(source.settings.event_id)
        return match[1].split(".") if match else None
    return source.scheme.id_field.split(".") if source.scheme.id_field is not None else None


async def send(shipment: Shipment, *, on_sent: Callable[[Sent], None], now_s: Callable[[], float] = time.time) -> None:
    """Send every event, several at once, and report each as it is accepted.

    Raises:
        NotSent: one was not; no further one is begun.
    """
    ids = iter(shipment.ids())
    started_s, numbers = time.monotonic(), itertools.count()

    async def sender() -> None:
        for event_id in ids:
            if shipment.rate_per_s is not None:
                due_s = started_s + next(numbers) / shipment.rate_per_s
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            on_sent(await _post(session, shipment, event_id, now_s()))

    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(CONCURRENCY, shipment.count)):
                    group.create_task(sender())
        except* NotSent as errors:
            raise errors.exceptions[0] from None


async def _post(session: aiohttp.ClientSession, shipment: Shipment, event_id: str, now_s: float) -> Sent:
    try:
        request = shipment.request_with(event_id, now_s=now_s)
    except CannotSign as error:
        raise NotSent(str(error)) from error
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(shipment.url))
    headers = [(name.decode(), value.decode()) for name, value in request.headers if name != b"host"]
    url = URL(f"{origin}{request.url}", encoded=True)  # as signed: quoted anew it may be another
    try:
        async with session.post(url, data=request.body, headers=headers, allow_redirects=False) as response:
            status, text = response.status, await response.read()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise NotSent(f"{shipment.url}: {_reason(error)}") from error
    if not 200 <= status < 300:
        raise NotSent(f"{shipment.url} refused it: {status} {_detail(text)}")
    answer = _parsed(text)
    receipts = answer.get("receipts")
    if isinstance(receipts, list):
        ids = answer.get("ids") or [event_id] * len(receipts)
        return Sent(event_id, "\n".join(map(_receipt, receipts, ids)) or "an empty batch")
    if answer.get("status") != "queued":
        return Sent(event_id, None)
    sent_id = str(answer.get("id", event_id))
    return Sent(sent_id, _receipt(answer.get("receipt"), sent_id))


def _receipt(receipt: object, event_id: object) -> str:
    return str(receipt) if receipt else f"{SPOOLED} {event_id}"


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"nobody answers ({error.os_error.strerror or error.os_error})"
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT_S:.0f} s"
    return str(error) if isinstance(error, ValueError) else reason_of(error)


def _detail(text: bytes) -> str:
    answer = _parsed(text)
    return f"{answer['error']}: {answer.get('detail', '')}" if "error" in answer else "(not an answer of Headrace)"


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}
