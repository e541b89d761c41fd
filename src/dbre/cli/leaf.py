"""The options that every command shares, and what happens between a command's return and the exit of the process."""

import asyncio
import inspect
import re
import sys
import time
from collections.abc import Callable
from contextvars import copy_context
from copy import copy
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer._click import Command  # Typer vendors Click and offers these names nowhere else
from typer._click.globals import get_current_context
from typer.core import TyperGroup

from dbre.cli.acting_flags import ActingFlags, acting_flags
from dbre.cli.global_options import Runtimes, leaf_flags
from dbre.cli.output import OutputFormat, OutputOptions
from dbre.core.errors import UsageError
from dbre.core.progress import silenced
from dbre.core.units import parse_duration
from dbre.core.view import View
from dbre.ports.kept import keep

if TYPE_CHECKING:  # for annotations only: root help must stay cheap
    from dbre.cli.acting import Acted
    from dbre.core.operation.act import Act

__all__ = ["equip"]

_SHORTEST_WATCH_SECONDS = 0.1
_ABSENT: dict[str, Any] = {"config": None, "override": None, "verbose": 0}


def _shared_options(
    output: Annotated[
        OutputFormat, typer.Option("--output", "-o", envvar="DBRE_OUTPUT", help="Form of the result.")
    ] = OutputFormat.TABLE,
    columns: Annotated[str | None, typer.Option("--columns", help="Columns to show, by key, separated by commas.")] = None,
    sort: Annotated[str | None, typer.Option("--sort", help="Sort by this key; -key for descending.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Show at most this many items.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No notes on stderr.")] = False,
    watch: Annotated[str | None, typer.Option("--watch", "-w", metavar="INTERVAL", help="Repeat every INTERVAL: 2s.")] = None,
) -> None:
    """Carries the declarations only; its parameters are copied to every command."""


def _template(carrier: Callable[..., None]) -> list[Any]:
    application = typer.Typer(add_completion=False)
    application.command()(carrier)
    return [one for one in typer.main.get_command(application).params if one.name != "help"]


def equip(command: Command) -> Command:
    """Give every leaf below ``command`` the shared options, and let it print what it returns."""
    output, flags, acting = _template(_shared_options), _template(leaf_flags), _template(acting_flags)
    reading = [one for one in output if one.name != "watch"]
    pending = [command]
    while pending:
        one = pending.pop()
        if isinstance(one, TyperGroup):
            pending.extend(one.commands.values())
        elif one.callback is not None and _acts(one.callback):
            given = {"output": _add(one, reading), "flags": _add(one, flags), "acting": _add(one, acting)}
            one.callback = _acting(one.callback, **given)
        elif one.callback is not None:
            one.callback = _rendering(one.callback, output=_add(one, output), flags=_add(one, flags))
    return command


def _add(leaf: Command, template: list[Any]) -> tuple[str, ...]:
    """Add the options that a leaf does not declare itself; their names."""
    own = {option for parameter in leaf.params for option in parameter.opts}
    names = {parameter.name for parameter in leaf.params}
    added = [copy(one) for one in template if not own & set(one.opts) and one.name not in names]
    leaf.params.extend(added)
    return tuple(one.name for one in added)


def _rendering(call: Callable[..., Any], *, output: tuple[str, ...], flags: tuple[str, ...]) -> Callable[..., None]:
    def run(**parameters: Any) -> None:
        given = {name: parameters.pop(name) for name in output}
        Runtimes.refine(get_current_context(), _ABSENT | {name: parameters.pop(name) for name in flags})
        watch = given.pop("watch", None)
        options = OutputOptions.of(**given)
        interval = _interval(watch) if watch else None
        things = keep(get_current_context())
        with asyncio.Runner() as runner:  # one for all times: what the first of them opened lives on in it
            try:
                while True:
                    with silenced(options.quiet):
                        view = _result(call, parameters, runner)
                    code = options.show(view) if view is not None else 0
                    if interval is None:
                        raise typer.Exit(code)
                    time.sleep(interval)
                    _separate(options)
            finally:
                runner.run(things.aclose())

    return run


def _separate(options: OutputOptions) -> None:
    """Between one time and the next: machine forms stay as they are."""
    if options.clears_screen and sys.stdout.isatty():
        sys.stdout.write("\x1b[H\x1b[2J")
    elif options.clears_screen:
        sys.stdout.write(f"\n--- {datetime.now(UTC):%Y-%m-%d %H:%M:%SZ}\n")


def _acts(call: Callable[..., Any]) -> bool:
    """Whether a command returns an ``Act``; by the name alone, because many commands import it for type checkers only."""
    given = inspect.unwrap(call).__annotations__.get("return")
    return re.search(r"\bAct\b", given if isinstance(given, str) else getattr(given, "__name__", str(given))) is not None


def _acting(
    call: Callable[..., Any], *, output: tuple[str, ...], flags: tuple[str, ...], acting: tuple[str, ...]
) -> Callable[..., None]:
    def run(**parameters: Any) -> None:
        given = {name: parameters.pop(name) for name in output}
        Runtimes.refine(get_current_context(), _ABSENT | {name: parameters.pop(name) for name in flags})
        options = OutputOptions.of(**given)
        asked = ActingFlags.of({name: parameters.pop(name) for name in acting} | _own_reason(parameters))
        with silenced(options.quiet):
            acted = asyncio.run(_carried_out(call, parameters, asked, options))
        code = options.show(acted.view) if acted.view is not None else 0
        if acted.text is not None:
            options.write(acted.text)
        raise typer.Exit(code if acted.code is None else acted.code)

    return run


def _own_reason(parameters: dict[str, Any]) -> dict[str, Any]:
    """A command whose --reason is more than a remark declares it itself: it is the reason of the operation as well."""
    return {"reason": parameters["reason"]} if "reason" in parameters else {}


async def _carried_out(
    call: Callable[..., Any], parameters: dict[str, Any], flags: ActingFlags, options: OutputOptions
) -> "Acted":
    from dbre.cli.acting import Acted, act
    from dbre.ports.runtime import runtime

    result = call(**parameters)
    if inspect.iscoroutine(result):
        result = await result
    if isinstance(result, View):
        return Acted(view=result)
    asked: Act = result
    here = runtime(get_current_context())  # type: ignore[arg-type]  # Typer's own class of it
    return await act(here, asked, flags, form=options.format, quiet=options.quiet)


def _interval(text: str) -> float:
    seconds = parse_duration(text).total_seconds()
    if seconds < _SHORTEST_WATCH_SECONDS:
        raise UsageError(f"--watch {text} is shorter than 100 ms", hint="write --watch 2s")
    return seconds


def _result(call: Callable[..., Any], parameters: dict[str, Any], runner: asyncio.Runner) -> View | None:
    result = call(**parameters)
    if inspect.iscoroutine(result):
        result = runner.run(result, context=copy_context())  # of now: who is to be silent was told after its own began
    if result is None or isinstance(result, View):
        return result
    raise UsageError(f"the command returned {type(result).__name__}, not a view")  # a defect in the command itself
