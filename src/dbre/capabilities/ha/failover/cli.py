"""``dbre ha failover``: a replica takes the place of a dead primary."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dbre.core.operation.act import Act
from dbre.core.view import View
from dbre.ports.runtime import Runtime, runtime

if TYPE_CHECKING:
    from dbre.capabilities.ha.failover.document import FailoverInput
    from dbre.capabilities.ha.failover.surveying import Survey
    from dbre.core.operation.model import OperationRecord

__all__ = ["app"]

app = typer.Typer()

ClusterName = Annotated[str, typer.Argument(metavar="CLUSTER", help="A cluster of the inventory.")]
To = Annotated[
    str | None, typer.Option("--to", metavar="INSTANCE", help="Promote this one. Default: the one that loses least.")
]
From = Annotated[
    str | None, typer.Option("--from", metavar="INSTANCE", help="Who is dead, where nobody can tell. Default: it is found out.")
]
AcceptLoss = Annotated[bool, typer.Option("--accept-loss", help="Whatever is lost, also where nobody knows how much.")]

AskPatroni = Annotated[
    bool,
    typer.Option("--ask-patroni", help="Patroni does it: its leader serves nobody, and its Patroni lives and waits for it."),
]


@app.command()
async def failover(
    ctx: typer.Context,
    cluster: ClusterName,
    *,
    to: To = None,
    primary: From = None,
    accept_loss: AcceptLoss = False,
    ask_patroni: AskPatroni = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Only show what speaks for and against it; ends with 3 where something forbids it."),
    ] = False,
    automatic: Annotated[bool, typer.Option("--automatic", help="With --check: by the rules of the control plane.")] = False,
) -> Act | View:
    """Fence a dead primary, see that it is fenced, and promote the replica that loses least; refuses where it lives."""
    from dbre.capabilities.ha.config_document import HA
    from dbre.capabilities.ha.failover.surveying import KIND, RELEASE, RESCUE
    from dbre.core.errors import UsageError

    asked: dict[str, Any] = {"cluster": cluster, "to": to, "primary": primary, "accept_loss": accept_loss}
    parts = runtime(ctx)
    is_released = parts.config.get(HA).of(parts.fleet.cluster(cluster).name).patroni is not None
    if ask_patroni and not is_released:
        raise UsageError(
            f"{cluster} is no cluster of Patroni", hint="leave --ask-patroni out; or name it: ha: clusters: patroni:"
        )
    if ask_patroni and automatic:
        raise UsageError("Patroni is asked for a failover by people alone", hint="leave --automatic out")
    kind = RESCUE if ask_patroni else RELEASE if is_released else KIND
    if check:
        return await _check(parts, asked | {"automatic": automatic}, kind)
    if automatic:
        raise UsageError("--automatic is for --check: only the control plane fails over by itself", hint="leave it out")
    return Act(kind=kind, input=asked, view=_done)


async def _check(parts: Runtime, given: dict[str, Any], kind: str) -> View:
    from dbre.capabilities.ha.failover.document import FailoverInput
    from dbre.core.errors import ExitCode
    from dbre.core.view import Column

    found = await _survey(parts, FailoverInput.model_validate(given), kind)
    rows: list[dict[str, object]] = [
        {
            "rule": one.rule,
            "state": "ok" if one.is_met else "NO" if one.is_blocking else "warn",
            "is_met": one.is_met,
            "is_blocking": one.is_blocking,
            "subject": one.subject,
            "value": one.value,
            "limit": one.limit,
            "source": one.source,
            "remedy": one.remedy,
        }
        for one in found.decision.reasons
    ]
    columns = [
        Column(key="state", title=""),
        Column(key="rule", title="RULE"),
        Column(key="value", title="SEEN"),
        Column(key="limit", title="WANTED"),
        Column(key="source", title="SOURCE", wide=True),
        Column(key="remedy", title="REMEDY", wide=True),
    ]
    code = ExitCode.FINDINGS if found.decision.against else ExitCode.OK  # what only warns is for the person to weigh
    return View(kind="FailoverReasonList", items=rows, columns=columns, exit_code=code)


async def _survey(parts: Runtime, asked: "FailoverInput", kind: str) -> "Survey":
    """With what the observers said, where there is a state store."""
    import os

    from dbre.capabilities.ha.config_document import HA
    from dbre.capabilities.ha.failover.ground import FailoverGround
    from dbre.capabilities.ha.failover.operation import FailOver
    from dbre.capabilities.ha.failover.release import ReleaseLease
    from dbre.capabilities.ha.failover.rescue import Rescue
    from dbre.core.programs.account import choose_account
    from dbre.core.store.errors import StoreMissing

    ground = FailoverGround(
        fleet=parts.fleet,
        engines=parts.engines,
        clock=parts.clock,
        settings=parts.config.get(HA),
        store=None,
        routes=lambda _: (),  # nothing is turned here
        account=lambda: choose_account(os.environ),
    )
    operation = next(one for one in (FailOver, ReleaseLease, Rescue) if one.kind == kind)
    try:
        async with parts.open_store() as store:
            return await operation(replace(ground, store=store)).survey(asked)
    except StoreMissing:
        return await operation(ground).survey(asked)


def _done(record: "OperationRecord") -> View:
    """What was done, step by step."""
    from dbre.core.view import Column

    results = {one.name: one.result or {} for one in record.steps}
    begun = record.planned.plan.steps[0].input
    awaited = results.get("await-promotion") or results.get("ask", {})
    row = {
        "cluster": record.planned.input["cluster"],
        "old_primary": begun.get("primary"),
        "new_primary": awaited.get("candidate") or begun.get("candidate"),
        "fence": results.get("fence", {}).get("rung"),
        "fence_seconds": results.get("fence", {}).get("seconds"),
        "fence_seen": results.get("fence", {}).get("seen"),
        "drain_seconds": results.get("assess", {}).get("seconds"),
        "drain_transactions": results.get("assess", {}).get("waiting_transactions"),
        "drain_bytes": results.get("assess", {}).get("waiting_bytes"),
        "drain_predicted": record.planned.plan.observed.get("drain"),
        "promote_seconds": results.get("promote", awaited).get("seconds"),
        "ended_connections": results.get("turn-routes", {}).get("ended"),
        "lost_bytes": results.get("assess", {}).get("lost_bytes"),
        "lost_transactions": results.get("assess", {}).get("lost_transactions"),
        "loss": results.get("assess", results.get("confirm", {})).get("loss"),
    }
    columns = [
        Column(key="old_primary", title="FROM"),
        Column(key="new_primary", title="TO"),
        Column(key="fence", title="FENCED BY"),
        Column(key="fence_seconds", title="FENCE s"),
        Column(key="drain_seconds", title="APPLY s"),
        Column(key="promote_seconds", title="PROMOTE s"),
        Column(key="ended_connections", title="STRAGGLERS", wide=True, format=_counts),
        Column(key="loss", title="LOST"),
    ]
    return View(kind="FailoverResult", items=[row], columns=columns, exit_code=record.exit_code)


def _counts(ended: object) -> str:
    """Connections that still went elsewhere, by route."""
    return ", ".join(f"{name}: {count}" for name, count in ended.items()) if isinstance(ended, dict) else "-"
