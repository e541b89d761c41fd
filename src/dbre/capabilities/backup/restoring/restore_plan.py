"""The plan of a restore as an operation's plan: what is shown, hashed and approved."""

from collections.abc import Iterator, Sequence
from datetime import UTC
from typing import Any

from dbre.capabilities.backup.forecast.model import Forecast
from dbre.capabilities.backup.restoring.documents import RestoreInput, target_input
from dbre.capabilities.backup.restoring.plan import RestorePlan
from dbre.core.operation.plan import Change, LockMode, Plan, Risk, Step
from dbre.core.text import counted, printable
from dbre.core.units import format_bytes, format_duration
from dbre.ports.backup.model import RecoveryTarget, TargetKind, Tool

__all__ = ["coarse", "operation_plan", "target_words"]


def target_words(target: RecoveryTarget) -> str:
    """A target for people.

    >>> target_words(RecoveryTarget(kind=TargetKind.LATEST))
    'all that there is'
    """
    if target.kind is TargetKind.TIME and target.at is not None:
        return f"{target.at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}".rstrip("0").rstrip(".") + "Z"
    if target.kind is TargetKind.LATEST:
        return "all that there is"
    if target.kind is TargetKind.IMMEDIATE:
        return "the end of the copy itself"
    return f"{target.kind.value} {printable(target.value or '', limit=100)}"


def operation_plan(
    plan: RestorePlan, asked: RestoreInput, *, tools: Sequence[Tool], forecast: Forecast, away: Sequence[str] = ()
) -> Plan:
    """What would be done. Sets and timeline are fixed with it; the log is that which is there when it is read.

    ``away`` are vaults that do not answer; others hold all that is needed.
    """
    given: dict[str, Any] = {
        "cluster": plan.cluster,
        "target": target_input(plan.asked) | {"timeline": plan.timeline or None},  # 0: copies that no log goes with
        "vault": asked.vault,
        "set": plan.newest.id,
        "chain": [one.id for one in plan.chain],
        "accept_loss": asked.accept_loss,
        "directory": asked.directory,
        "check": asked.check,
    }
    words, where = target_words(plan.asked), printable(asked.directory, limit=300)
    copies = f"{counted(len(plan.chain), 'set')} ({format_bytes(plan.bytes_stored)})"
    steps = (
        _step("prepare", "make room for the parts", given, undo="discard"),
        _step("fetch", f"fetch {copies} from {', '.join(plan.vaults)}", given, _time(forecast, "fetch")),
        _step("verify-sets", "compare every file with its manifest", given, _time(forecast, "verify")),
        _step("read-log", "fetch the log and check every record", given, _time(forecast, "fetch_log", "scan")),
        _step("combine", f"make one data directory of {counted(len(plan.chain), 'set')}", given, _time(forecast, "combine")),
        _step(
            "recover",
            f"replay up to {words} without network, promote, check",
            given,
            _time(forecast, "provision", "start", "load", "analyze", "replay", "promote"),
        ),
        _step("hand-over", f"hand over {where}", given, undo="take-back"),
    )
    return Plan(
        target=f"cluster/{plan.cluster}/restore",
        summary=f"restore {plan.cluster} as of {words} into {where}",
        steps=steps,
        risk=Risk.SEVERE,
        lock=LockMode.SHARED,
        confirm=plan.cluster,
        changes=(
            Change(subject=where, before=None, after=f"{plan.engine} {plan.version_text}, {plan.cluster} as of {words}"),
            Change(subject="from", before=None, after=" + ".join(f"{one.kind.value} {one.id}" for one in plan.chain)),
        ),
        blast_radius=(
            f"{plan.cluster} itself is not asked and not changed",
            "the directory holds people's data: the same rules hold for it as for the cluster",
        ),
        warnings=(
            *_warnings(plan, tools, forecast),
            *(f"vault {one} cannot be used now, and others hold all that is needed (dbre vault check)" for one in away),
        ),
        observed={"system_id": plan.system_id, "timeline": plan.timeline, "chain": given["chain"]},
        tags=("restore",),
        estimate_seconds=None if forecast.total_seconds is None else coarse(forecast.total_seconds),
    )


def _step(
    name: str, summary: str, given: dict[str, Any], estimate_seconds: float | None = None, undo: str | None = None
) -> Step:
    return Step(name, summary=summary, input=given, undo=undo, estimate_seconds=estimate_seconds)


def _time(forecast: Forecast, *names: str) -> float | None:
    known = [one.seconds for one in forecast.phases if one.name in names]
    if not known or any(one is None for one in known):
        return None
    return coarse(sum(one or 0.0 for one in known))


def coarse(seconds: float) -> float:
    """The next of 1, 2, 5, 10, 20, ... s: log that grows between two looks must not make another plan of the same restore.

    >>> [coarse(one) for one in (0.3, 1.0, 17.2, 51.0, 130.0)]
    [1.0, 1.0, 20.0, 100.0, 200.0]
    """
    size = 1.0
    while True:
        for step in (1.0, 2.0, 5.0):
            if seconds <= step * size:
                return step * size
        size *= 10.0


def _warnings(plan: RestorePlan, tools: Sequence[Tool], forecast: Forecast) -> Iterator[str]:
    yield from (f"{one.message} ({one.hint})" for one in plan.problems)
    yield from (f"{tool.name} cannot be used: {tool.problem}" for tool in tools if tool.problem is not None)
    extensions = plan.newest.details.get("extensions") or ()
    if extensions:
        named = ", ".join(printable(str(one), limit=80) for one in list(extensions)[:20])
        yield f"the restored server needs these extensions: {named}"
    if forecast.total_seconds is None:
        yield f"how long it takes cannot be forecast: {forecast.basis}"
    else:
        yield f"forecast: at most {format_duration(coarse(forecast.total_seconds))}, from {forecast.basis}"
