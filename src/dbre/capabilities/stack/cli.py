"""``dbre stack``: whether the services around the databases answer."""

from typing import TYPE_CHECKING, Annotated

import typer

from dbre.core.errors import ExitCode, UsageError
from dbre.core.view import Column, PluginState, PluginStatus, View
from dbre.ports.runtime import Runtime, runtime

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbre.capabilities.stack.documents import ServiceDocument
    from dbre.capabilities.stack.model import CheckResult

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="The services around the databases: monitoring, brokers, caches.")

Names = Annotated[
    list[str] | None, typer.Argument(metavar="[SERVICE]...", help="Only these; default all of the section stack.")
]
Timeout = Annotated[str | None, typer.Option("--timeout", metavar="TIME", help="Of each check, instead of its own: 2s.")]
FailOn = Annotated[str, typer.Option("--fail-on", help="Exit code 3 for: down, or degraded too.")]


@app.callback()
def _group() -> None:
    """Keeps ``check`` a sub-command while it is the only one."""


@app.command("check")
def check_stack(ctx: typer.Context, services: Names = None, timeout: Timeout = None, fail_on: FailOn = "down") -> View:
    """Ask every service now, all at once; exit code 3 where one is down."""
    import asyncio

    from dbre.capabilities.stack.checks import check

    if fail_on not in ("down", "degraded"):
        raise UsageError(f"--fail-on {fail_on!r} is not a state", hint="write down or degraded")
    parts = runtime(ctx)
    asked = _selected(parts, services, timeout)

    async def ask() -> "list[CheckResult]":
        now = parts.clock.now()
        return await asyncio.gather(*(check(one, engines=parts.engines, at=now) for one in asked))

    return _view(asyncio.run(ask()), fail_on=fail_on)


def _selected(parts: Runtime, names: "Sequence[str] | None", timeout: str | None) -> "list[ServiceDocument]":
    from dbre.capabilities.stack.documents import STACK
    from dbre.core.text import closest, quoted
    from dbre.core.units import parse_duration

    every = {one.name: one for one in parts.config.get(STACK)}
    for name in names or ():
        if name not in every:
            near = closest(name, list(every))
            known = f"did you mean {near}?" if near else "services stand under `stack` in dbre.yaml"
            raise UsageError(f"no service is named {quoted(name, limit=100)}", hint=known)
    chosen = [one for one in every.values() if not names or one.name in names]
    if timeout is None:
        return chosen
    return [one.model_copy(update={"timeout": parse_duration(timeout)}) for one in chosen]


def _view(found: "Sequence[CheckResult]", *, fail_on: str) -> View:
    from dbre.capabilities.stack.rows import check_row

    bad = ("down",) if fail_on == "down" else ("down", "degraded")
    fails = [one for one in found if one.state.value in bad]
    return View(
        kind="StackCheckList",
        items=[check_row(one) for one in found],
        columns=(
            Column(key="service", title="SERVICE"),
            Column(key="kind", title="KIND"),
            Column(key="state", title="STATE"),
            Column(key="latency_seconds", title="TIME", format=_duration, right=True),
            Column(key="version", title="VERSION"),
            Column(key="detail", title="DETAIL"),
            Column(key="url", title="URL", wide=True),
        ),
        empty="no service is configured; add some under `stack` in dbre.yaml",
        exit_code=ExitCode.FINDINGS if fails else ExitCode.OK,
        plugin=_plugin(found),
    )


def _plugin(found: "Sequence[CheckResult]") -> PluginStatus:
    """Down is critical, degraded a warning; without any service nothing is known."""
    if not found:
        return PluginStatus(state=PluginState.UNKNOWN, text="no service is configured")
    down = [f"{one.service} down: {one.detail}" for one in found if one.state.value == "down"]
    degraded = [f"{one.service} degraded: {one.detail}" for one in found if one.state.value == "degraded"]
    state = PluginState.CRITICAL if down else PluginState.WARNING if degraded else PluginState.OK
    return PluginStatus(state=state, text="; ".join(down + degraded) or f"services up: {len(found)}")


def _duration(value: object) -> str:
    from dbre.core.units import format_duration

    return format_duration(value) if isinstance(value, int | float) else "-"
