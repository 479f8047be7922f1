"""A group of commands whose help says the whole of what each does, and that knows what a misspelt one may be."""

from __future__ import annotations

import re
from io import StringIO
from typing import Any, TextIO

import click

SHORT_HELP_CHARS_MAX = 1000  # click cuts at 45 characters; a help that ends in "..." is none


class CommandGroup(click.Group):
    """A `click.Group` that cuts no description short and suggests the nearest command."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that ``args`` begin with, or say which one may be meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from headrace.mistakes import closest

            suggestion = closest(args[0], self.list_commands(ctx), kind="commands")
            raise click.UsageError(f"{error.message.rstrip('.')}: {suggestion}", ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands for the help: each with the first sentence of its own help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.short_help_of(ctx, name)) for name in self.list_commands(ctx)])

    def short_help_of(self, ctx: click.Context, name: str) -> str:
        """Return what the list of commands says of one."""
        command = self.get_command(ctx, name)
        return "" if command is None else command.get_short_help_str(SHORT_HELP_CHARS_MAX).rstrip(".")


class Mistaken(click.ClickException):
    """A mistake in the usage, written as every other error is: click begins its own with a capital letter."""

    def __init__(self, mistake: click.ClickException) -> None:
        super().__init__(mistake.message)
        self._mistake = mistake
        self.exit_code = mistake.exit_code

    def show(self, file: TextIO | Any = None) -> None:
        """Write it, with the usage that click adds."""
        text = StringIO()
        self._mistake.show(text)
        click.echo(re.sub(r"^Error: ", "error: ", text.getvalue(), flags=re.MULTILINE), file, nl=False, err=True)
