"""The connections of one destination: through no proxy, by verified TLS, and to no address that it may not reach."""

from __future__ import annotations

import ssl

import aiohttp
from httpx_aiohttp import AiohttpTransport

from connectors.endpoint import Endpoint
from connectors.resolver import PublicResolver

KEEPALIVE_S = 15.0


def open_connections(endpoint: Endpoint) -> AiohttpTransport:
    """Return the transport of a destination; it makes connections when they are needed.

    Raises:
        ValueError: the endpoint's certificates cannot be used.
    """
    urls = (endpoint.base_url, *(endpoint.auth.urls if endpoint.auth else ()))
    # Reading the public authorities takes 20 ms, which plain HTTP need not take: it gets a context that trusts none.
    uses_tls = any(url.lower().startswith("https:") for url in urls)
    context = endpoint.tls.context() if uses_tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    connections = aiohttp.TCPConnector(
        limit=0,
        ssl=context,
        keepalive_timeout=KEEPALIVE_S,
        resolver=PublicResolver(allow_private=endpoint.allow_private),
    )
    # A session without trust_env reads no proxy and no .netrc from the environment.
    session = aiohttp.ClientSession(connector=connections, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
    # aiohttp would repeat a PUT or GET whose connection broke, uncounted, and past the destination's rate.
    session._retry_connection = False
    return AiohttpTransport(verify=context, trust_env=False, client=session)
