"""The root command, and the only place where an error becomes a message and an exit code."""

import os
import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import typer
from typer._click.exceptions import ClickException  # Typer vendors Click and offers this name nowhere else

from dbre.cli.global_options import ConfigFlag, GlobalOptions, OverrideFlag, Runtimes, VerboseFlag, VersionFlag
from dbre.cli.lazy import LazyGroup
from dbre.cli.output import drop_stdout, say
from dbre.core.errors import DbreError, ExitCode, UsageError

__all__ = ["GlobalOptions", "main"]


def main(make_runtime: Callable[[GlobalOptions], object], arguments: list[str] | None = None) -> int:
    """Run one command line and give its exit code; ``make_runtime`` builds what commands find in their context."""
    if sys.stdout is None:  # Python's sign for a standard output that was closed before it started
        say(DbreError("standard output is closed", hint="the result would be lost; send it to /dev/null if it is not wanted"))
        return int(ExitCode.FAILED)
    try:
        code = _run(make_runtime, sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except OSError as error:
        if _stdout_works():
            raise  # it was about something else
        drop_stdout()
        if not isinstance(error, BrokenPipeError):  # else the reader left: there is nothing more to say
            say(DbreError(f"standard output cannot be written: {error.strerror}", hint="the result is incomplete"))
        return int(ExitCode.FAILED)
    if code == ExitCode.INTERRUPTED:  # which Typer makes of Ctrl-C
        sys.stderr.write("interrupted\n")
    return code


def _stdout_works() -> bool:
    try:
        sys.stdout.write("\n")  # a write tells: what failed before is not in the buffer any more
        sys.stdout.flush()
    except OSError:
        return False
    return True


def _run(make_runtime: Callable[[GlobalOptions], object], words: list[str]) -> int:
    command = typer.main.get_command(_application(make_runtime))
    if "_DBRE_COMPLETE" in os.environ:  # a shell asks for completions, which Click answers instead of running a command
        from typer._completion_classes import (
            completion_init,
        )  # Typer does it only with its own flags, and offers it nowhere else

        completion_init()
    try:
        return int(command.main(args=words, prog_name="dbre", standalone_mode=False) or 0)
    except DbreError as error:
        return _fail(error, words)
    except ClickException as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            sys.stdout.write(error.format_message() + "\n")
            return int(ExitCode.USAGE)
        return _fail(_usage_error(error), words)
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)


def _application(make_runtime: Callable[[GlobalOptions], object]) -> typer.Typer:
    help_flags = {"help_option_names": ["--help", "-h"]}
    application = typer.Typer(
        cls=LazyGroup, rich_markup_mode=None, add_completion=False, no_args_is_help=True, context_settings=help_flags
    )

    @application.callback()
    def root(
        context: typer.Context,
        config: ConfigFlag = None,
        override: OverrideFlag = None,
        verbose: VerboseFlag = 0,
        version: VersionFlag = False,  # noqa: ARG001 - its callback did all
    ) -> None:
        """Run databases to their SLOs."""
        options = GlobalOptions().joined(config=config, override=override, verbose=verbose)
        Runtimes(make_runtime, options).install(context)

    return application


def _usage_error(error: Any) -> DbreError:
    where = error.ctx.command_path if getattr(error, "ctx", None) else "dbre"
    return UsageError(" ".join(error.format_message().split()).rstrip("."), hint=f"see {where} --help")


def _fail(error: DbreError, words: list[str]) -> int:
    form = _form(words)
    if form == "nagios":
        from dbre.cli.render.lines import nagios_failure  # here, because rich costs time that --help must not pay

        text, code = nagios_failure(error)
        sys.stdout.write(text)
        return code
    if form in ("json", "jsonl"):
        from dbre.cli.render.documents import json_text

        sys.stderr.write(json_text({"error": error.as_document()}) + "\n")
        return int(error.exit_code)
    say(error)
    return int(error.exit_code)


def _form(words: list[str]) -> str:
    """The form of output that the words ask for; they may be wrong, so that nobody else could tell."""
    forms = [second for first, second in pairwise(words) if first in ("-o", "--output")]
    forms += [word.partition("=")[2] for word in words if word.startswith("--output=")]
    forms += [word.removeprefix("-o") for word in words if word.startswith("-o") and word != "-o"]
    return forms[-1] if forms else os.environ.get("DBRE_OUTPUT", "")
