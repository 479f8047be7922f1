"""What the command line of `headrace run` says."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass


class PortTaken(Exception):
    """A port cannot be used. The text is one line for a person."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Ports and numbers of parts; worker *i*, from 0, has its admin pages on ``admin_port + 1 + i``."""

    port: int
    admin_port: int
    kafka_port: int
    ingest_processes: int
    workers: int
    echo_port: int | None = None

    def ports(self) -> Iterator[tuple[str, str, int]]:
        """Yield the address, the option and the port of everything that listens, Kafka excepted."""
        yield "0.0.0.0", "--port", self.port  # noqa: S104 - the public port
        for port in range(self.admin_port, self.admin_port + 1 + self.workers):
            yield "127.0.0.1", "--admin-port", port

    def require_free_ports(self) -> None:
        """Return only if every port can be bound now.

        Raises:
            PortTaken: one cannot; the text says which, why, and which option chooses another.
        """
        taken: dict[int, str] = {self.kafka_port: "--kafka-port"}
        for host, option, port in self.ports():
            if port and port in taken:
                raise PortTaken(f"port {port} is wanted for {taken[port]} too: choose another with {option}")
            taken[port] = option
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((host, port))
                except (OSError, OverflowError) as error:
                    reason = getattr(error, "strerror", None) or error
                    raise PortTaken(f"port {port} cannot be used ({reason}): choose another with {option}") from error
