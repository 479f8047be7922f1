"""Why a service could not be reached, in words: aiohttp's own texts, and their causes, may show headers."""

from __future__ import annotations

import os
import ssl

import aiohttp
from aiohttp import http_exceptions

from connectors.addresses import AddressRefused

_WORDS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (  # the first that fits
    (aiohttp.ClientConnectorDNSError, "its name could not be resolved"),
    ((aiohttp.ClientSSLError, ssl.SSLError), "no TLS connection could be made"),
    ((aiohttp.ServerTimeoutError, TimeoutError), "it took too long"),
    (aiohttp.ClientConnectorError, "no connection could be made"),
    (aiohttp.ServerDisconnectedError, "it closed the connection without an answer"),
    (aiohttp.ClientPayloadError, "its answer broke off"),
    ((aiohttp.ClientResponseError, http_exceptions.HttpProcessingError), "its answer is not HTTP"),
    ((aiohttp.ClientConnectionError, OSError), "the connection broke"),
)


def reason_of(error: BaseException) -> str:
    """Return what went wrong with a request, and the system's word for it; of an unforeseen error its class."""
    cause = error if isinstance(error, aiohttp.ClientError) else error.__cause__ or error
    system_error = getattr(cause, "os_error", cause)
    if isinstance(system_error, AddressRefused):
        return str(system_error)
    certificate = getattr(cause, "certificate_error", None)
    if isinstance(certificate, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({certificate.verify_message})"
    words = next((words for kinds, words in _WORDS if isinstance(cause, kinds)), f"unexpected {type(cause).__name__}")
    return words + _system_word(system_error)


def _system_word(error: object) -> str:
    number, text = getattr(error, "errno", None), getattr(error, "strerror", None)
    if not isinstance(number, int) or isinstance(error, ssl.SSLError):
        return ""
    # Beyond errno are the resolver's; and asyncio puts a text of its own in the place of the system's.
    return f" ({os.strerror(number)})" if number > 0 else f" ({text})" if text else ""
