"""A group whose commands are imported when they are run, so that ``dbre --help`` stays cheap."""

import importlib
from typing import TYPE_CHECKING, Any

import typer
from typer._click import Command, Context, HelpFormatter  # Typer vendors Click and offers these names nowhere else
from typer.core import TyperCommand, TyperGroup

from dbre.cli.commands import COMMANDS, TOPICS
from dbre.cli.leaf import equip

if TYPE_CHECKING:
    from typer._click.shell_completion import CompletionItem

__all__ = ["LazyGroup"]


class LazyGroup(TyperGroup):
    """The root group; its table is ``COMMANDS``."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = dict.fromkeys(COMMANDS, TyperCommand(name="not loaded"))  # names only: for did-you-mean

    def list_commands(self, ctx: Context) -> list[str]:  # noqa: ARG002 - the signature is Click's
        """Names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:  # noqa: ARG002 - the signature is Click's
        """Import the module of a command and equip its leaves with the options that all commands share."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        application: typer.Typer = getattr(importlib.import_module(entry.module), entry.attribute)
        application._add_completion = False  # noqa: SLF001 - `dbre completion` does it once; Typer would add two flags to each
        command = typer.main.get_command(application)
        command.name = cmd_name
        return equip(command)

    def shell_complete(self, ctx: Context, incomplete: str) -> "list[CompletionItem]":
        """Complete names of commands from the table alone, and the root's own flags as Click does."""
        from typer._click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [CompletionItem(name, help=entry.summary) for name, entry in COMMANDS.items() if name.startswith(incomplete)]

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:  # noqa: ARG002 - the signature is Click's
        """List the commands by topic from the table alone."""
        for topic in TOPICS:
            with formatter.section(topic):
                formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items() if entry.topic == topic])
