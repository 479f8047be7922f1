"""The options that every command takes, before or after its name, and the settings made of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from headrace.context import Settings

SERVICES = frozenset({"run", "ingest", "worker"})  # they live long: what a library complains of is kept
FORMATS = ("json", "text")
LEVELS = ("debug", "info", "warning", "error")

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_SHARED = (
    click.option(
        "--config",
        envvar="HEADRACE_CONFIG",
        default="headrace.yaml",
        type=click.Path(path_type=Path),
        help="The routing table.",
        show_default=True,
        show_envvar=True,
    ),
    click.option(
        "--data-dir",
        envvar="HEADRACE_DATA_DIR",
        default=".headrace",
        type=click.Path(path_type=Path),
        help="Where state is kept.",
        show_default=True,
        show_envvar=True,
    ),
    click.option(
        "--kafka-bootstrap-servers",
        envvar="KAFKA_BOOTSTRAP_SERVERS",
        help="Where Kafka is; default: the embedded Kafka of the data directory.",
        show_envvar=True,
    ),
    click.option(
        "--topic-prefix",
        envvar="HEADRACE_TOPIC_PREFIX",
        default="",
        help="Put before the name of every topic and group.",
        show_envvar=True,
    ),
    click.option(
        "--log-format",
        envvar="HEADRACE_LOG_FORMAT",
        default="json",
        type=click.Choice(FORMATS),
        show_default=True,
        show_envvar=True,
    ),
    click.option(
        "--log-level",
        envvar="HEADRACE_LOG_LEVEL",
        default="info",
        type=click.Choice(LEVELS, case_sensitive=False),
        show_default=True,
        show_envvar=True,
    ),
)
SHARED_NAMES = ("config", "data_dir", "kafka_bootstrap_servers", "topic_prefix", "log_format", "log_level")


def shared_options(function: Decorated) -> Decorated:
    """Add the shared options to a command."""
    for option in reversed(_SHARED):
        function = option(function)
    return function


def with_settings(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the shared options to a command and pass it `Settings` made of them as its first argument.

    An option after the command's name wins over the same before it, and either over the environment. Logs are
    configured by the time the command runs.
    """

    @shared_options
    @click.pass_context
    @functools.wraps(function)
    def wrapped(ctx: click.Context, /, *args: Any, **options: Any) -> Any:
        given = {name: options.pop(name) for name in SHARED_NAMES}
        settings = _settings(ctx, given)
        from headrace.logs import configure_logs

        service = ctx.command.name in SERVICES
        settings.logs = configure_logs(log_format=settings.log_format, level=settings.log_level, libraries=service)
        if service:
            from headrace.level_signals import ignore_level_signals

            ignore_level_signals()
        return function(settings, *args, **options)

    return wrapped


def _settings(ctx: click.Context, given: dict[str, Any]) -> Settings:
    outer = ctx.find_root().obj
    if isinstance(outer, dict):
        for name, value in outer.items():
            if name in given and ctx.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
                given[name] = value
        outer.update(given)  # the traceback of a failure follows --log-level, wherever it stood
    return Settings(
        config_path=given["config"],
        data_dir=given["data_dir"],
        kafka_bootstrap_servers=given["kafka_bootstrap_servers"] or None,
        topic_prefix=given["topic_prefix"],
        log_format=given["log_format"],
        log_level=given["log_level"].lower(),
    )
