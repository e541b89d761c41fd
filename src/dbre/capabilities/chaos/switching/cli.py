"""``dbre chaos stop``, ``open``, ``status``."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dbre.core.view import Column, Row, View
from dbre.ports.runtime import Runtime, runtime

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbre.core.operation.model import OperationRecord

__all__ = ["app"]

app = typer.Typer()

Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")]

_COLUMNS = (
    Column(key="operation", title="OPERATION"),
    Column(key="kind", title="KIND"),
    Column(key="target", title="TARGET"),
    Column(key="state", title="STATE"),
    Column(key="requested_by", title="BY"),
)
_SWITCH_COLUMNS = (Column(key="switch", title="SWITCH"), Column(key="words", title="WHY"))


@app.command()
async def stop(
    ctx: typer.Context,
    *,
    reason: Reason,
    wait: Annotated[str, typer.Option("--wait", metavar="TIME", help="How long their ends are waited for.")] = "60s",
) -> View:
    """End every experiment everywhere, and let none begin until dbre chaos open. Ends with 8 or 9 where one is left."""
    from dbre.capabilities.chaos.switching.stopping import end_all
    from dbre.core.errors import ExitCode
    from dbre.core.operation.states import OperationState
    from dbre.core.units import parse_duration

    parts, limit = runtime(ctx), parse_duration(wait).total_seconds()
    async with parts.open_desk() as desk:
        turned = await _turn(parts, reason, act="stop")
        ended = await end_all(desk, parts.clock, reason=f"all experiments were stopped: {reason}", limit_seconds=limit)
    is_stuck = any(one.state is OperationState.NEEDS_OPERATOR for one in ended)
    is_left = any(not one.is_final for one in ended)
    code = ExitCode.NEEDS_OPERATOR if is_stuck else ExitCode.PENDING if is_left else ExitCode.OK
    notes = ["none begins until dbre chaos open"]
    if is_left:
        notes.append("one has not ended: its faults go with its injector's lease; dbre chaos status")
    return View(
        kind="StoppedExperimentList",
        items=_rows(ended),
        columns=_COLUMNS,
        title=str(turned["words"]),
        empty=f"{turned['words']}; none was there to be ended",
        notes=notes,
        exit_code=code,
    )


@app.command("open")
async def open_(ctx: typer.Context, *, reason: Reason) -> View:
    """Let experiments begin again; for administrators."""
    parts = runtime(ctx)
    async with parts.open_desk():  # makes the state store where there is none yet
        turned = await _turn(parts, reason, act="open")
    return View(kind="ChaosSwitch", items=[_switch_row(turned)], columns=_SWITCH_COLUMNS, single=True)


@app.command()
async def status(ctx: typer.Context) -> View:
    """Whether experiments may begin, and which are there now. Ends with 3 where they were stopped."""
    from dbre.capabilities.chaos.switching.stopping import active_experiments
    from dbre.core.errors import ExitCode

    parts = runtime(ctx)
    async with parts.open_desk() as desk:
        switch = await _read(parts)
        active = await active_experiments(desk)
    return View(
        kind="ChaosStatus",
        items=_rows(active),
        columns=_COLUMNS,
        title=str(switch["words"]),
        empty=f"{switch['words']}; none is there now",
        exit_code=ExitCode.FINDINGS if switch["is_closed"] else ExitCode.OK,
    )


async def _turn(parts: Runtime, reason: str, *, act: str) -> dict[str, Any]:
    from dbre.capabilities.chaos.switching.switch import close_switch, open_switch

    async with parts.open_remote() as remote:
        if remote is not None:
            return await remote.ask("POST", f"/api/v1/chaos/{act}", json={"reason": reason})
    principal = await parts.principal()
    async with parts.open_store() as store:
        found = await (close_switch if act == "stop" else open_switch)(store, parts.clock, principal, reason)
    return {**found.document(), "words": found.words}


async def _read(parts: Runtime) -> dict[str, Any]:
    from dbre.capabilities.chaos.switching.switch import read_switch

    async with parts.open_remote() as remote:
        if remote is not None:
            return await remote.ask("GET", "/api/v1/chaos/switch")
    async with parts.open_store() as store:
        found = await read_switch(store)
    return {**found.document(), "words": found.words}


def _switch_row(found: dict[str, Any]) -> Row:
    return {"switch": "closed" if found["is_closed"] else "open", **found}


def _rows(records: "Sequence[OperationRecord]") -> list[Row]:
    return [
        {
            "operation": str(one.id),
            "kind": one.planned.kind,
            "target": one.planned.plan.target,
            "state": one.state.value,
            "requested_by": one.requested_by,
        }
        for one in records
    ]
