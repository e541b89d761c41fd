"""The plan of ``ha.failback``: pure rules over what was seen."""

from collections.abc import Iterator

from dbre.capabilities.ha.failback.document import FailbackInput
from dbre.capabilities.ha.failback.surveying import Returning, rejoin_input
from dbre.capabilities.ha.rejoin.rejoin_plan import plan_of as plan_of_rejoining
from dbre.capabilities.ha.rejoin.rejoin_plan import told_of
from dbre.capabilities.ha.switchover.config_document import SwitchoverDocument
from dbre.capabilities.ha.switchover.switchover_plan import plan_of as plan_of_switching
from dbre.core.operation.plan import Change, Plan, Risk, Step

__all__ = ["plan_of"]


def plan_of(seen: Returning, asked: FailbackInput, limits: SwitchoverDocument) -> Plan:
    """Raises: PrecheckFailed, NoControl where it cannot be done."""
    parts = [*_rejoining(seen, asked), *_switching(seen, limits)]
    return Plan(
        target=f"cluster/{seen.cluster.name}",
        summary=f"make {seen.to.name} the primary of {seen.cluster.name} again",
        steps=tuple(_steps(seen, asked)),
        risk=Risk.SEVERE,
        changes=(
            *(change for part in parts for change in part.changes if change.subject.startswith(f"{seen.to.name}: data")),
            Change(subject=f"{seen.to.name}: role", before=_role(seen), after="primary"),
            Change(subject=f"{seen.primary.name}: role", before="primary", after=f"replica of {seen.to.name}"),
        ),
        blast_radius=tuple(dict.fromkeys(line for part in parts for line in part.blast_radius)),
        warnings=tuple(_warnings(seen, parts)),
        observed={"primary": seen.primary.name, "candidate": seen.to.name, "why": seen.why},
    )


def _rejoining(seen: Returning, asked: FailbackInput) -> Iterator[Plan]:
    if seen.rejoining is not None:
        yield plan_of_rejoining(seen.rejoining, rejoin_input(seen.cluster.name, seen.to.name, asked))


def _switching(seen: Returning, limits: SwitchoverDocument) -> Iterator[Plan]:
    if seen.assessment is not None:
        yield plan_of_switching(seen.assessment, limits)


def _steps(seen: Returning, asked: FailbackInput) -> Iterator[Step]:
    to, old = seen.to.name, seen.primary.name
    given = {"from": old, "to": to}
    if seen.rejoining is not None:
        part = rejoin_input(seen.cluster.name, to, asked).model_dump(mode="json")
        yield Step("rejoin", summary=f"let {to} follow {old}: an operation of its own", input=given | {"asked": part})
    yield Step(
        "wait",
        summary=f"wait until {to} has caught up and every check of the planned change allows it",
        input=given | {"patience_seconds": asked.patience_seconds},
    )
    yield Step("switch", summary=f"planned change of primary from {old} to {to}: an operation of its own", input=given)


def _role(seen: Returning) -> str | None:
    if seen.rejoining is None:
        return f"replica of {seen.primary.name}"
    return "primary" if seen.rejoining.is_writable else None


def _warnings(seen: Returning, parts: list[Plan]) -> Iterator[str]:
    yield f"{seen.to.name} is chosen because {seen.why}"
    if seen.rejoining is not None:
        yield f"{seen.to.name}: {told_of(seen.rejoining)}"
        yield "whether the primary may be changed is checked when it follows; until then nothing of the primary is touched"
    for part in parts:
        yield from part.warnings
