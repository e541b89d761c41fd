"""``dbre gate``: what stands in the way of operations, and why."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from dbre.core.errors import ExitCode, UsageError
from dbre.core.moments import moment_from
from dbre.core.view import Column, PluginState, PluginStatus, Row, View
from dbre.ports.runtime import Runtime, runtime

if TYPE_CHECKING:  # for annotations only: root help must stay cheap
    from dbre.core.gates.asking import Gates
    from dbre.core.gates.model import GateDecision
    from dbre.core.gates.supposing import Supposed
    from dbre.core.operation.gate_reading import HeldOperation
    from dbre.core.operation.http_desk import HttpDesk

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Gates: what holds or refuses operations, and why.")

Kind = Annotated[str, typer.Option("--kind", help="Suppose an operation of this kind: settings.apply.")]
RiskName = Annotated[str, typer.Option("--risk", help="Suppose this risk: read, mild, moderate, severe.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="Suppose a tag: rollback, restore, failover, remedy, security.")]
Takes = Annotated[str | None, typer.Option("--takes", metavar="DURATION", help="Suppose that it takes so long: 90m.")]

_DECISION_COLUMNS = (
    Column(key="gate", title="GATE"),
    Column(key="verdict", title="VERDICT"),
    Column(key="reason", title="REASON"),
    Column(key="valid_until", title="UNTIL", wide=True),
)
_HELD_KEYS = (
    "operation_id", "kind", "target", "state", "requested_by", "held_by", "is_gate", "reason", "since", "next_look",
)  # fmt: skip


def _supposed(cluster: str, kind: str, risk: str, tags: list[str] | None, takes: str | None) -> "Supposed":
    from dbre.core.gates.supposing import Supposed
    from dbre.core.operation.plan import Risk
    from dbre.core.text import closest, quoted
    from dbre.core.units import parse_duration

    known = [one.value for one in Risk]
    if risk not in known:
        near = closest(risk, known)
        hint = f"did you mean {near}?" if near else f"write {', '.join(known)}"
        raise UsageError(f"{quoted(risk, limit=50)} is not a risk", hint=hint)
    seconds = parse_duration(takes).total_seconds() if takes else None
    return Supposed(cluster=cluster, kind=kind, risk=Risk(risk), tags=tuple(tags or ()), estimate_seconds=seconds)


async def _decisions(parts: Runtime, supposed: "Supposed") -> "tuple[Gates, tuple[GateDecision, ...]]":
    from dbre.core.gates.supposing import ask_supposing

    parts.fleet.cluster(supposed.cluster)  # a wrong name is said before the store is opened
    principal = await parts.principal()
    async with parts.open_store() as store:
        gates = parts.gates(store)
        asked = await ask_supposing(gates, supposed, parts.fleet, parts.clock, requested_by=principal.name)
    return gates, asked


def _row(decision: "GateDecision") -> Row:
    return {
        "gate": decision.gate,
        "verdict": decision.verdict.value,
        "reason": decision.reason,
        "valid_until": decision.valid_until,
        "evidence": dict(decision.evidence),
    }


def _notes(parts: Runtime, kind: str) -> list[str]:
    """A mistyped kind would be judged by rules that are not meant for it."""
    from dbre.core.text import closest

    known = list(parts.operations.kinds())
    near = closest(kind, known) if kind not in known else None
    return [f"{kind} is not an operation of dbre, and is judged by its name alone; did you mean {near}?"] if near else []


@app.command("list")
async def list_gates(
    ctx: typer.Context,
    cluster: Annotated[str | None, typer.Option("--cluster", help="Say what each gate says now of this cluster.")] = None,
    kind: Kind = "change",
    risk: RiskName = "moderate",
    tag: Tags = None,
    takes: Takes = None,
) -> View:
    """Every gate, what it guards, and what it says now."""
    parts = runtime(ctx)
    columns = [Column(key="gate", title="GATE"), Column(key="guards", title="GUARDS")]
    async with parts.open_remote() as remote:
        if remote is not None:
            items = await _remote_gates(remote, cluster, kind, risk, tag, takes)
            return View(kind="GateList", items=items, columns=columns + list(_DECISION_COLUMNS[1:]) if cluster else columns)
    said: dict[str, Row] = {}
    if cluster is None:
        async with parts.open_store() as store:
            gates = parts.gates(store)
    else:
        gates, decisions = await _decisions(parts, _supposed(cluster, kind, risk, tag, takes))
        said = {one.gate: _row(one) for one in decisions}
        columns += _DECISION_COLUMNS[1:]
    nothing: Row = {"verdict": None, "reason": None, "valid_until": None, "evidence": None}
    items = [
        {"gate": gate.name, "guards": gate.summary, "asks_always": gate.asks_always, **(said.get(gate.name) or nothing)}
        for gate in gates.all()
    ]
    notes = _notes(parts, kind) if cluster else ["--cluster NAME shows what each gate says now"]
    return View(kind="GateList", items=items, columns=columns, notes=notes)


@app.command("check")
async def check_gates(
    ctx: typer.Context,
    cluster: Annotated[str, typer.Option("--cluster", help="The cluster that would be changed.")],
    kind: Kind = "change",
    risk: RiskName = "moderate",
    tag: Tags = None,
    takes: Takes = None,
) -> View:
    """Whether an operation could begin now: exit code 0, or 5 with the reasons."""
    parts = runtime(ctx)
    async with parts.open_remote() as remote:
        if remote is not None:
            return _check_view(await _remote_gates(remote, cluster, kind, risk, tag, takes), kind, cluster)
    _, decisions = await _decisions(parts, _supposed(cluster, kind, risk, tag, takes))
    return _check_view([_row(one) for one in decisions], kind, cluster, notes=_notes(parts, kind))


def _check_view(rows: list[Row], kind: str, cluster: str, *, notes: Sequence[str] = ()) -> View:
    in_the_way = [one for one in rows if one["verdict"] != "allow"]
    return View(
        kind="GateCheck",
        items=rows,
        columns=_DECISION_COLUMNS,
        notes=[*notes, *_ways_out(in_the_way)],
        exit_code=ExitCode.REFUSED if in_the_way else ExitCode.OK,
        plugin=_plugin(in_the_way, kind, cluster),
    )


async def _remote_gates(
    remote: "HttpDesk", cluster: str | None, kind: str, risk: str, tags: list[str] | None, takes: str | None
) -> list[Row]:
    """What the gates of the control plane say; its API supposes no tags and no duration."""
    if tags or takes:
        raise UsageError(
            "--tag and --takes are judged where the state store is, and DBRE_SERVER or client.url names a control plane",
            hint="leave them out, or run dbre gate there",
        )
    _supposed(cluster or "", kind, risk, None, None)
    keys = ("gate", "guards", "asks_always", "verdict", "reason", "valid_until", "evidence")
    asked = {"cluster": cluster, "kind": kind, "risk": risk} if cluster else {}
    found = await remote.items("/gates", **asked)
    return [{key: one.get(key) for key in keys} | {"valid_until": moment_from(one.get("valid_until"))} for one in found]


def _ways_out(in_the_way: Sequence[Row]) -> list[str]:
    from dbre.core.gates.asking import LOCK_GATE

    names = [one["gate"] for one in in_the_way if one["gate"] != LOCK_GATE]
    flags = " ".join(f"--override {name}" for name in names)
    notes = (
        [f"whoever may bypass {'a gate' if len(names) == 1 else 'gates'} does so with {flags} --reason TEXT"] if names else []
    )
    return notes + (
        ["dbre gate held shows who waits, dbre op list --state open who runs"] if len(names) < len(in_the_way) else []
    )


def _plugin(in_the_way: Sequence[Row], kind: str, cluster: str) -> PluginStatus:
    if not in_the_way:
        return PluginStatus(state=PluginState.OK, text=f"{kind} on {cluster} may begin")
    is_refused = any(one["verdict"] == "refuse" for one in in_the_way)
    reasons = "; ".join(f"{one['gate']}: {one['reason']}" for one in in_the_way)
    return PluginStatus(state=PluginState.CRITICAL if is_refused else PluginState.WARNING, text=reasons)


@app.command("held")
async def list_held(ctx: typer.Context) -> View:
    """Operations that wait, for which gate or person, and why."""
    from dbre.core.operation.gate_reading import held_operations

    parts = runtime(ctx)
    async with parts.open_remote() as remote:
        if remote is not None:
            return _held_view([_remote_held(one) for one in await remote.items("/gates/held")])
    async with parts.open_store() as store:
        return _held_view([_held_row(one) for one in await held_operations(store)])


def _held_view(rows: list[Row]) -> View:
    return View(
        kind="HeldOperationList",
        items=rows,
        columns=(
            Column(key="operation_id", title="OPERATION"),
            Column(key="kind", title="KIND"),
            Column(key="target", title="TARGET"),
            Column(key="state", title="STATE"),
            Column(key="held_by", title="HELD BY"),
            Column(key="since", title="SINCE"),
            Column(key="reason", title="REASON"),
            Column(key="requested_by", title="REQUESTED BY", wide=True),
            Column(key="next_look", title="ASKED AGAIN", wide=True),
        ),
        empty="no operation waits",
    )


def _remote_held(item: Row) -> Row:
    moments = {key: moment_from(item.get(key)) for key in ("since", "next_look")}
    return {key: item.get(key) for key in _HELD_KEYS} | moments


def _held_row(one: "HeldOperation") -> Row:
    return {
        "operation_id": str(one.operation_id),
        "kind": one.kind,
        "target": one.target,
        "state": one.state.value,
        "requested_by": one.requested_by,
        "held_by": one.held_by,
        "is_gate": one.is_gate,
        "reason": one.reason,
        "since": one.since,
        "next_look": one.next_look,
    }


@app.command("override")
async def override_gate(
    ctx: typer.Context,
    operation: Annotated[str, typer.Argument(metavar="OPERATION", help="Id of an operation that a gate holds.")],
    gate: Annotated[str, typer.Argument(metavar="GATE", help="The gate: freeze-window, error-budget, approval.")],
    reason: Annotated[str, typer.Option("--reason", help="Why it is right now; kept in the audit log.")],
    ticket: Annotated[str | None, typer.Option("--ticket", help="Where it is discussed.")] = None,
) -> View:
    """Bypass a gate for one operation; needs the permission, and is audited."""
    from uuid import UUID

    from dbre.core.operation.desk import OverrideRequest
    from dbre.core.text import quoted

    try:
        operation_id = UUID(operation)
    except ValueError as error:
        raise UsageError(f"{quoted(operation, limit=100)} is not the id of an operation", hint="dbre gate held") from error
    async with runtime(ctx).open_desk() as desk:
        record = await desk.override(operation_id, OverrideRequest(gate=gate, reason=reason, ticket=ticket))
    item = {
        "operation_id": str(record.id),
        "state": record.state.value,
        "gate": gate,
        "reason": reason,
        "ticket": ticket,
        "overridden": sorted(one.gate for one in record.overrides),
    }
    return View(kind="GateOverride", items=[item], single=True)
