"""One connection to a mail server, kept between mails; and what its replies mean."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import TYPE_CHECKING

from connectors.addresses import AddressRefused
from connectors.errors import CallError, CredentialsRefused, PermanentError, TransientError, Unreachable

if TYPE_CHECKING:
    import aiosmtplib

QUIT_S_MAX = 2.0
REPLY_CHARS_MAX = 200
ENDING = 421  # RFC 5321 3.8: the server ends the connection, whatever was asked; it is shutting down, or has too many
MISCONFIGURED = frozenset({530, 534, 535, 538})  # RFC 4954 6: who we are is refused, and not the mail


@dataclass(frozen=True, slots=True)
class MailServer:
    """A mail server, and who we are to it. Without ``context`` nothing is encrypted."""

    host: str
    port: int
    implicit_tls: bool = False
    context: ssl.SSLContext | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    allow_private: bool = False


class SmtpConnection:
    """Sends mails one after another over one connection, made anew when it has broken or was left in the middle."""

    def __init__(self, server: MailServer) -> None:
        self._server = server
        self._client: aiosmtplib.SMTP | None = None
        self._turn = asyncio.Lock()

    async def send(self, mail: EmailMessage, sender: str, recipients: list[str], *, timeout_s: float) -> None:
        """Return when the server has taken the mail for every recipient.

        Raises:
            CallError: it has not, as `error_of` says; or it has taken it for some of them.
        """
        import aiosmtplib

        async with self._turn:
            try:
                client = await self._connected(timeout_s)
                refused, _ = await client.send_message(mail, sender=sender, recipients=recipients)
            except (aiosmtplib.SMTPException, OSError, ValueError) as error:
                found = error_of(error)
                if found.status is None or found.status == ENDING:
                    self._drop()  # no reply: nothing is known about the connection
                raise found from None
            except BaseException:
                self._drop()  # in the middle of a mail: the connection is of no more use
                raise
        if refused:
            raise PermanentError(
                f"the mail server refused {', '.join(sorted(refused))}, and took the mail for the others: "
                + _words(next(iter(refused.values())).message),
                status=next(iter(refused.values())).code,
            )

    async def close(self) -> None:
        """Take leave of the server, if there is a connection."""
        if self._client is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._client.quit(), QUIT_S_MAX)
            self._drop()

    async def _connected(self, timeout_s: float) -> aiosmtplib.SMTP:
        import aiosmtplib

        from connectors.resolver import connect  # aiohttp, which checking a routing table need not import

        if self._client is not None and await _is_alive(self._client):
            return self._client
        self._drop()
        server = self._server
        sock = await connect(server.host, server.port, allow_private=server.allow_private)
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=None,
            sock=sock,
            username=server.username,
            password=server.password,
            use_tls=server.implicit_tls,
            start_tls=server.context is not None and not server.implicit_tls,
            tls_context=server.context,
            timeout=timeout_s,
        )
        try:
            await client.connect()
        except BaseException:
            client.close()
            sock.close()
            raise
        self._client = client
        return client

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


async def _is_alive(client: aiosmtplib.SMTP) -> bool:
    """Return whether the server still listens: it may have ended a connection that was idle, or be restarted."""
    try:
        return client.is_connected and (await client.noop()).code == 250
    except Exception:
        return False


def error_of(error: Exception) -> CallError:
    """Return what a failure of SMTP means; a reply's code becomes the status.

    4xx is transient and 5xx permanent (RFC 5321 4.2.1), but for those about who we are, or whether there is a service.
    """
    import aiosmtplib

    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        worst = min(error.recipients, key=lambda recipient: recipient.code)
        return _replied(worst.code, worst.message)
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        kind = TransientError if 400 <= error.code <= 499 else CredentialsRefused
        return kind(f"the mail server refuses the user: {error.code} {_words(error.message)}", status=error.code)
    if isinstance(error, aiosmtplib.SMTPConnectResponseError | aiosmtplib.SMTPHeloError):
        # 554 in place of a greeting, perhaps: there is no service for us, and no mail is to blame (RFC 5321 3.1).
        return Unreachable(f"the mail server turns us away: {error.code} {_words(error.message)}", status=error.code)
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return _replied(error.code, error.message)
    if isinstance(error, aiosmtplib.SMTPNotSupported):
        return PermanentError(f"the mail server lacks what the mail needs: {_words(str(error))}")
    if isinstance(error, AddressRefused):
        return Unreachable(str(error))
    if isinstance(error, ValueError) and not isinstance(error, OSError | ssl.SSLError):
        return PermanentError("the mail cannot be written")
    cause = error.__cause__ or error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Unreachable(f"the mail server's certificate is not trusted ({cause.verify_message})")
    return Unreachable(f"the mail server could not be reached: {_reason(error, cause)}")


def _reason(error: Exception, cause: BaseException) -> str:
    import aiosmtplib

    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    if isinstance(error, aiosmtplib.SMTPTimeoutError | TimeoutError):
        return "it took too long"
    if isinstance(error, aiosmtplib.SMTPServerDisconnected | ConnectionError):
        return "the connection broke"
    return f"unexpected {type(error).__name__}"


def _replied(code: int, message: str) -> CallError:
    text = f"the mail server says {code} {_words(message)}"
    if code in MISCONFIGURED:
        return CredentialsRefused(text, status=code)
    if code == ENDING:
        return Unreachable(text, status=code)
    return PermanentError(text, status=code) if 500 <= code <= 599 else TransientError(text, status=code)


def _words(message: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in message).split())[:REPLY_CHARS_MAX]
