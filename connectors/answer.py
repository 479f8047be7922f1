"""What a service answered: its status, headers, and as much of its body as is read."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import aiohttp
import httpx
import orjson

from connectors.errors import TransientError

ANSWER_BYTES_MAX = 1024 * 1024  # of an answer's body; what follows is not read, and its connection closed


@dataclass(frozen=True)
class Answer:
    """An answer, that of an accepted call unless a `Dialect` is asked about it.

    ``body`` is raw and at most 1 MiB; ``truncated`` says that there was more.
    """

    status: int
    headers: httpx.Headers = field(repr=False)
    body: bytes = field(repr=False)
    truncated: bool = False

    @cached_property
    def parsed(self) -> Any:
        """The body as JSON; None if it is not JSON, or was cut short."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None

    def json(self) -> Any:
        """Return the parsed body.

        Raises:
            TransientError: it is not JSON, or was cut short.
        """
        if self.parsed is None and self.body.strip() != b"null":
            raise TransientError(
                f"the destination answered {self.status} with a body that is not JSON", status=self.status
            )
        return self.parsed

    def text_at(self, *path: str) -> str:
        """Return the text or number that stands at ``path`` in the JSON body, ``""`` if none does."""
        value = self.parsed
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


async def read_body(response: httpx.Response) -> tuple[bytes, bool]:
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
