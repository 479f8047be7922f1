"""Run fan-out and deliveries, or one of them."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import click

from headrace.context import Settings
from headrace.hangup import hold_hangups
from headrace.options import with_settings


@click.command
@click.option(
    "--only", type=click.Choice(["fan-out", "deliver"]), help="Run this part alone; deliver includes the retries."
)
@click.option("--admin-host", default="127.0.0.1", show_default=True, help="Address of the admin pages.")
@click.option(
    "--admin-port", default=8082, show_default=True, type=click.IntRange(0, 65535), help="Port of the admin pages."
)
@click.option(
    "--claim-slot",
    is_flag=True,
    help="Keep the tables in the first free worker-N of the data directory, for replicas that share one.",
)
@with_settings
def command(settings: Settings, *, only: str | None, admin_host: str, admin_port: int, claim_slot: bool) -> None:
    """Run fan-out and deliveries until SIGTERM; the tables are under the data directory."""
    hold_hangups()  # one that comes during the start is obeyed at its end
    from headrace import event_loop
    from headrace.slot import claimed
    from headrace.worker import run_worker

    own = contextlib.nullcontext(Path(settings.data_dir))
    with claimed(settings.data_dir) if claim_slot else own as data_dir:
        sys.exit(
            event_loop.run(
                run_worker(settings, only=only, admin_host=admin_host, admin_port=admin_port, data_dir=data_dir)
            )
        )
