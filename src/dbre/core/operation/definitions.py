"""Whether the code of today can carry on a plan that was stored by the code of some other day."""

from collections.abc import Iterable, Mapping
from typing import Any

from dbre.core.errors import DbreError, UsageError
from dbre.core.operation.definition import Operation, OperationRegistry
from dbre.core.operation.plan import PlannedOperation
from dbre.core.operation.position import Position
from dbre.core.operation.states import StepPhase
from dbre.core.text import counted

__all__ = ["DefinitionMissing", "DefinitionOf", "PlanAltered", "carry_on"]


class DefinitionMissing(DbreError):
    """The stored plan needs code that this installation does not have."""

    code = "operation.definition_changed"


class PlanAltered(DefinitionMissing):
    """The stored plan is not the one that was hashed, and perhaps approved."""

    code = "operation.plan_altered"


class DefinitionOf:
    """The definition for one position, with the plan that it can carry on."""

    def __init__(self, definition: Operation[Any], planned: PlannedOperation, *, is_upgraded: bool) -> None:
        self.definition = definition
        self.planned = planned
        self.is_upgraded = is_upgraded


def carry_on(registry: OperationRegistry, position: Position) -> DefinitionOf:
    """The code that carries on what is stored, and the plan in its terms.

    Raises: DefinitionMissing where there is none, with the difference in names of steps; PlanAltered.
    """
    stored = position.record.planned
    if stored.hash != position.record.plan_hash:
        raise PlanAltered(
            f"the stored plan has hash {stored.hash[:12]}, and {position.record.plan_hash[:12]} was submitted",
            hint="somebody changed it in the state store: dbre audit verify, then dbre op resolve ID give-up --reason ...",
            context={"plan_hash": position.record.plan_hash, "plan_hash_now": stored.hash},
        )
    try:
        definition = registry.get(stored.kind)
    except UsageError as error:
        raise DefinitionMissing(
            f"operation kind {stored.kind} is not known to this version of dbre", hint=_HINT, context={"kind": stored.kind}
        ) from error
    planned = stored
    if stored.definition_version != definition.version:
        upgraded = _upgraded(definition, stored)
        if upgraded is None:
            what = f"version {stored.definition_version} of it was planned, this dbre has version {definition.version}"
            raise _changed(what, definition, stored)
        planned = upgraded
        _refuse_other_past(definition, stored, planned, position)
    missing = definition.missing(planned.plan)
    if missing:
        raise _changed(f"the code lacks {counted(len(missing), 'step')}: {', '.join(missing)}", definition, planned)
    return DefinitionOf(definition, planned, is_upgraded=planned is not stored)


def _upgraded(definition: Operation[Any], stored: PlannedOperation) -> PlannedOperation | None:
    try:
        return definition.upgrade(stored)
    except Exception as error:  # a plan that cannot be read is for a person, not for one worker after the other
        what = f"its upgrade from version {stored.definition_version} failed with {type(error).__name__}"
        raise _changed(what, definition, stored) from error


def _refuse_other_past(
    definition: Operation[Any], stored: PlannedOperation, upgraded: PlannedOperation, position: Position
) -> None:
    """What was begun already must be in the new plan, at the same place. Raises: DefinitionMissing."""
    begun = [seq for seq, phase in position.rows if phase is StepPhase.DO]
    count = max(begun, default=-1) + 1
    old = [step.name for step in stored.plan.steps[:count]]
    new = [step.name for step in upgraded.plan.steps[:count]]
    if old != new:
        raise _changed("the upgraded plan does not begin with the steps that were begun already", definition, stored)


_HINT = "run it with the version of dbre that planned it, or decide: dbre op resolve ID undo|give-up --reason ..."


def _changed(what: str, definition: Operation[Any], planned: PlannedOperation) -> DefinitionMissing:
    stored = _unique(step.handler for step in planned.plan.steps) + _unique(one.undo for one in planned.plan.steps if one.undo)
    known = list(definition.handlers())
    difference = [f"- {name}" for name in stored if name not in known] + [f"+ {name}" for name in known if name not in stored]
    context: Mapping[str, object] = {
        "kind": definition.kind,
        "stored_version": planned.definition_version,
        "present_version": definition.version,
        "difference": difference,
    }
    shown = f"; steps: {', '.join(difference)}" if difference else ""
    return DefinitionMissing(f"{definition.kind} has changed since: {what}{shown}", hint=_HINT, context=context)


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
