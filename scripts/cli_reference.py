"""The page docs/reference/cli.md, from the commands themselves."""

import inspect
from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperGroup

from dbre.app import Application
from dbre.cli.commands import COMMANDS, TOPICS
from dbre.cli.root import _application as application

HEAD = """# Command line

Written by `scripts/reference.py` from the commands themselves. The grammar is `dbre NOUN VERB [TARGET] [flags]`;
standard output holds data only, and messages, progress and errors go to standard error. How a command ends stands in
[Exit codes](exit-codes.md).
"""
SHARED = """
## Flags of every command

The default form is a table, on a terminal and off it. `--columns` and `--sort` name the keys that `-o json` shows.
"""


def cell(text: str) -> str:
    """Text for a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def option_row(option: Any, context: typer.Context) -> str:
    """One option or argument as a row, in the words of ``--help``."""
    name, meaning = option.get_help_record(context) or (option.name, "")
    meaning = meaning.removesuffix("]").replace("  [", " *", 1) + "*" if meaning.endswith("]") and "  [" in meaning else meaning
    return f"| `{cell(name)}` | {cell(meaning)} |"


def table(options: list[Any], context: typer.Context) -> Iterator[str]:
    """The options of one command."""
    if options:
        yield ""
        yield "| argument or flag | meaning |"
        yield "|---|---|"
        yield from (option_row(option, context) for option in options)


def describe(command: Any, path: str, shared: set[str]) -> Iterator[str]:
    """One command and everything below it."""
    context = typer.Context(command, info_name=path)
    own = [one for one in command.get_params(context) if one.name != "help" and one.name not in shared]
    yield ""
    yield f"{'###' if path.count(' ') > 1 else '##'} {path}"
    yield ""
    yield inspect.cleandoc(command.help or command.callback.__doc__ or "")
    if not isinstance(command, TyperGroup):
        yield from ("", "```text", " ".join([path, *command.collect_usage_pieces(context)]), "```")
    yield from table(own, context)
    if isinstance(command, TyperGroup):
        for name in command.list_commands(context):
            yield from describe(command.get_command(context, name), f"{path} {name}", shared)


def leaves(command: Any) -> Iterator[Any]:
    """Every command that does something."""
    if isinstance(command, TyperGroup):
        context = typer.Context(command)
        for name in command.list_commands(context):
            yield from leaves(command.get_command(context, name))
    else:
        yield command


def shared_options(root: Any) -> list[Any]:
    """The flags that every command has."""
    commands = list(leaves(root))
    common = set.intersection(*({tuple(one.opts) for one in command.params} for command in commands))
    return [one for one in commands[0].params if tuple(one.opts) in common and one.name != "help"]


def page() -> str:
    """The whole page."""
    root = typer.main.get_command(application(Application))
    assert isinstance(root, TyperGroup)
    context = typer.Context(root, info_name="dbre")
    shared = shared_options(root)
    lines = [HEAD, "| command | what |", "|---|---|"]
    for topic in TOPICS:
        lines += [f"| [`dbre {n}`](#dbre-{n}) | {e.summary} |" for n, e in COMMANDS.items() if e.topic == topic]
    first = [max(one.opts, key=len) for one in root.params]
    lines += [SHARED.rstrip(), f"`{'`, `'.join(first)}` may also stand before the command.", *table(shared, context)]
    for name in root.list_commands(context):
        lines += describe(root.get_command(context, name), f"dbre {name}", {one.name for one in shared})
    return "\n".join(lines).rstrip() + "\n"
