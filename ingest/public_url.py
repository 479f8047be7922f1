"""The address that a provider called, which some sign: the configured one, else what the request's headers say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator

_ORIGIN = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_HOST = re.compile(rb"[A-Za-z0-9._~:\[\]-]{1,255}")
_CONFIGURED = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+(?:/[A-Za-z0-9._~%/-]*)?", re.ASCII)


def _require_address(value: str) -> str:
    if len(value) > 2000 or _CONFIGURED.fullmatch(value) is None:
        raise ValueError("must be an address such as https://hooks.example.com, without a query")
    return value


PublicUrl = Annotated[str, AfterValidator(_require_address)]


def public_url(
    target: str,
    headers: Sequence[tuple[bytes, bytes]],
    *,
    base: str | None = None,
    address: str | None = None,
) -> str:
    """Return ``scheme://host/path?query`` of a request, or ``""`` where its Host header is missing or strange.

    Args:
        target: the request target, in origin or absolute form.
        headers: with lower-case names.
        base: the configured start of every address, without a slash at its end, to which path and query are added.
        address: the configured whole address of this source, to which the query is added; wins over ``base``.

    Without either it is as good as the proxies before: who can set Host can present a request that was signed for
    another address of the same secret.
    """
    path_and_query = _ORIGIN.sub("", target, count=1)
    if address is not None:
        mark, query = path_and_query.partition("?")[1:]
        return f"{address}{mark}{query}"
    if base is not None:
        return f"{base}{path_and_query}"
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        return ""
    forwarded = [value for name, value in headers if name == b"x-forwarded-proto"]
    return f"{'https' if forwarded == [b'https'] else 'http'}://{hosts[0].decode()}{path_and_query}"
