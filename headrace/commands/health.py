"""Ask a part whether it is ready, or alive: for the health checks of containers."""

from __future__ import annotations

import http.client
import ipaddress

import click


class NotWell(Exception):
    """The part does not answer, or says that it is not ready; the text says why."""


@click.command
@click.option("--admin-host", default="127.0.0.1", show_default=True, help="Address of the part's admin pages.")
@click.option(
    "--admin-port",
    default=8081,
    show_default=True,
    type=click.IntRange(1, 65535),
    help="Port of the part's admin pages: 8081 of ingest; 8082 of a worker, unless it was given another.",
)
@click.option("--alive", is_flag=True, help="Ask whether it is alive, not whether it is ready for events.")
@click.option(
    "--timeout-s", default=4.0, show_default=True, type=click.FloatRange(0.1, 60), help="Wait no longer for an answer."
)
def command(*, admin_host: str, admin_port: int, alive: bool, timeout_s: float) -> None:
    """Ask the part on --admin-port whether it is ready, and end with 0 or 1.

    It reads neither the routing table nor Kafka, and loads no more than it needs.
    """
    page = "/healthz" if alive else "/readyz"
    connection = http.client.HTTPConnection(reachable(admin_host), admin_port, timeout=timeout_s)
    try:
        connection.request("GET", page)
        answer = connection.getresponse()
        text = answer.read(1000).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        raise NotWell(f"nothing answers on {admin_host}:{admin_port}: {error}") from None
    finally:
        connection.close()
    if answer.status != 200:
        raise NotWell(text or f"it answers with status {answer.status}")
    click.echo(text)


def reachable(host: str) -> str:
    """Return where to reach what listens on ``host``: one that listens everywhere listens on loopback too."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"
