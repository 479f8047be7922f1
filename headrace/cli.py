"""The command line: finds the commands, gives them the shared options, and turns failures into exit codes.

A command is a file in ``headrace/commands/``: its name (a trailing ``_`` left out, ``_`` as ``-``), its docstring's
first line as the short help, and ``command`` in it. It is imported only when it is run, so that help is quick.
"""

from __future__ import annotations

import ast
import errno
import importlib
import os
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

import headrace.commands
from headrace.command_group import CommandGroup, Mistaken
from headrace.failure import exit_code, one_line
from headrace.options import shared_options

ENV_PREFIX = "HEADRACE"


class Commands(CommandGroup):
    """The group of all commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the name of every command."""
        return sorted(_modules())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, imported now, or ``None`` if there is no such file."""
        module = _modules().get(cmd_name)
        if module is None:
            return None
        command: click.Command = importlib.import_module(f"headrace.commands.{module}").command
        command.name = cmd_name
        _name_variables(command)
        return command

    def short_help_of(self, ctx: click.Context, name: str) -> str:
        """Return the first line of a command's file, without importing it."""
        return _short_help(_modules()[name])

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read the options before the command."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.ClickException as error:
            raise Mistaken(error) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; whatever it raises ends the process with one line and the right code."""
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            raise Mistaken(error) from None
        except (click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            ctx.exit(130)
        except BaseException as error:
            if isinstance(error, SystemExit | GeneratorExit) or getattr(error, "errno", None) == errno.EPIPE:
                raise
            if _wants_traceback(ctx):
                traceback.print_exception(error, file=sys.stderr)
            for line in one_line(error):
                click.echo(line, err=True)
            ctx.exit(exit_code(error))


def _wants_traceback(ctx: click.Context) -> bool:
    return isinstance(ctx.obj, dict) and ctx.obj.get("log_level") == "debug"


def _modules() -> dict[str, str]:
    """Return command names and their modules, without importing any."""
    found = (module.name for module in pkgutil.iter_modules(headrace.commands.__path__))
    return {name.rstrip("_").replace("_", "-"): name for name in found if not name.startswith("_")}


def _short_help(module: str) -> str:
    for directory in headrace.commands.__path__:
        path = Path(directory) / f"{module}.py"
        if path.exists():
            docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            return docstring.partition("\n\n")[0].replace("\n", " ").rstrip(".")
    return ""


def _name_variables(command: click.Command) -> None:
    """Let every option without a variable of its own read ``HEADRACE_<OPTION>``, in commands within it too."""
    for parameter in command.params:
        if not isinstance(parameter, click.Option) or parameter.envvar is not None or not parameter.name:
            continue
        variable = f"{ENV_PREFIX}_{parameter.name.upper()}"
        # Kubernetes gives every pod HEADRACE_PORT=tcp://10.0.0.1:8080 once a service is called headrace.
        if not os.environ.get(variable, "").startswith("tcp://"):
            parameter.envvar = variable
            parameter.show_envvar = True
    for nested in _nested(command):
        _name_variables(nested)


def _nested(command: click.Command) -> Iterator[click.Command]:
    if isinstance(command, click.Group):
        yield from command.commands.values()


def _group(function: Callable[..., None]) -> Commands:
    group: Commands = click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})(function)
    return group


@_group
@click.version_option(package_name="headrace", message="headrace %(version)s")
@shared_options
@click.pass_context
def main(ctx: click.Context, /, **given: Any) -> None:
    """Verified webhooks in, durable deliveries out.

    The shared options may stand before or after the command.
    """
    ctx.obj = given
