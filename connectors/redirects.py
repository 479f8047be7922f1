"""Redirects: followed within the host, where following changes nothing about the request.

RFC 9110 15.4 lets a client follow by itself what is safe. 307 and 308 repeat the request as it was. 301 and 302 are
followed for GET and HEAD alone: for others, clients have always differed in whether they become a GET. 303 says that
the request was carried out, and where to read about it: it is followed for GET and HEAD, which do nothing. All else,
and another scheme, host or port, is not followed: the answer is then a refusal, and says so.
"""

from __future__ import annotations

import httpx

REDIRECTS_MAX = 3
_SAFE = frozenset({"GET", "HEAD"})


def redirected(request: httpx.Request, status: int, location: str | None) -> httpx.Request | None:
    """Return the request that a redirect leads to, with all headers of the first; None if it is not followed."""
    if location is None or not _is_followed(request.method, status):
        return None
    try:
        url = request.url.join(location)
        same = (url.scheme, url.host, url.port) == (request.url.scheme, request.url.host, request.url.port)
        if not same or url.userinfo:
            return None
        return httpx.Request(request.method, url, headers=request.headers, content=request.content or None)
    except (httpx.InvalidURL, ValueError):
        return None


def _is_followed(method: str, status: int) -> bool:
    return status in (307, 308) or (status in (301, 302, 303) and method in _SAFE)
