"""How an aiokafka client makes its connections: to where they may lead alone, and so that a refusal is known."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from connectors.addresses import AddressRefused, numeric_address
from connectors.errors import CallError, CredentialsRefused, Unreachable

if TYPE_CHECKING:
    from aiokafka.client import AIOKafkaClient
    from aiokafka.conn import AIOKafkaConnection

Connect = Callable[..., Awaitable["AIOKafkaConnection"]]


class Connections:
    """Makes the connections of one client, and remembers why one could not be made.

    ``servers`` are the hosts that the operator wrote. All others are named by the cluster, which may be anybody's: an
    address among those needs leave also if it is a number.
    """

    def __init__(self, servers: Iterable[str], *, allow_private: bool) -> None:
        self._servers = frozenset(map(_spelled, servers))
        self._allow_private = allow_private
        self._failures: dict[tuple[str, int], Exception] = {}

    async def connect(self, host: str, port: int, **options: Any) -> AIOKafkaConnection:
        """Return a connection to a broker, as ``aiokafka.conn.create_conn`` does.

        Raises:
            OSError, KafkaError, TimeoutError: it cannot be made; what aiokafka's client expects.
        """
        from aiokafka.conn import AIOKafkaConnection
        from aiokafka.errors import KafkaConnectionError

        from connectors.guarded_loop import GuardedLoop  # aiohttp, which checking a routing table need not import

        connection = AIOKafkaConnection(host, port, **options)
        connection._loop = GuardedLoop(
            asyncio.get_running_loop(), allow_private=self._allow_private, written=self._is_written
        )
        try:
            await connection.connect()
        except (ValueError, AssertionError) as error:  # what comes of answers that are not Kafka's
            self._failures[host, port] = error
            raise KafkaConnectionError(type(error).__name__) from None
        except Exception as error:
            self._failures[host, port] = error
            raise
        self._failures.pop((host, port), None)
        return connection

    def refusal(self) -> CallError | None:
        """Return what keeps us from a broker that is there, if anything does: aiokafka says only that it has none.

        A credential that is refused is told before all else: it is for a person to change.
        """
        found = [told for told in map(_refusal_of, self._failures.values()) if told is not None]
        return next((told for told in found if isinstance(told, CredentialsRefused)), found[0] if found else None)

    def _is_written(self, host: str) -> bool:
        return _spelled(host) in self._servers


def _spelled(host: str) -> str:
    return numeric_address(host) or host.lower()


def _refusal_of(error: Exception) -> CallError | None:
    """Return what a failure to connect means, if it is a refusal, by us or by the broker; the text holds no secret."""
    from aiokafka import errors as kafka

    if isinstance(error, AddressRefused):
        return Unreachable(str(error))
    if isinstance(error, kafka.AuthenticationFailedError | kafka.SaslAuthenticationFailed):
        return CredentialsRefused("the Kafka cluster refuses the user or the password")
    if isinstance(error, kafka.UnsupportedSaslMechanismError):
        return CredentialsRefused("the Kafka cluster does not offer this sasl_mechanism")
    if isinstance(error, kafka.IllegalSaslStateError):
        return CredentialsRefused("the Kafka cluster takes no user there: is it another port that does?")
    if (cause := _tls_error(error)) is None:
        if isinstance(error, kafka.KafkaConnectionError | ConnectionResetError | ConnectionAbortedError):
            return Unreachable("a Kafka broker takes the connection and ends it: is tls as it expects, does it start?")
        return None
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Unreachable(f"the Kafka cluster's certificate is not trusted ({cause.verify_message})")
    reason = (cause.reason or "the handshake failed").replace("_", " ").lower()
    if "alert" in reason:  # TLS 1.3: it comes after the handshake, and closes the connection
        return CredentialsRefused(f"the Kafka cluster refuses the client certificate, or its absence ({reason})")
    return Unreachable(f"the Kafka cluster does not speak TLS there ({reason})")


def _tls_error(error: BaseException | None) -> ssl.SSLError | None:
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__
    return error


def use(client: AIOKafkaClient, connect: Connect) -> None:
    """Make ``client`` connect by ``connect``, and no other client.

    aiokafka has no place to say so: its client calls ``create_conn`` by that name, in two methods. They are given
    to this client anew with another function under the name.

    Raises:
        RuntimeError: aiokafka does it in another way now. Nothing may go on then: its connections lead anywhere.
    """
    for name in ("bootstrap", "_get_conn"):
        function = getattr(type(client), name)
        if "create_conn" not in function.__code__.co_names:
            raise RuntimeError(f"aiokafka's client does not connect by create_conn in {name}")
        namespace = {**function.__globals__, "create_conn": connect}
        own = FunctionType(function.__code__, namespace, name, function.__defaults__, function.__closure__)
        own.__kwdefaults__ = function.__kwdefaults__
        setattr(client, name, MethodType(own, client))
