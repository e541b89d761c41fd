"""What somebody may do with an operation now: the forms below it, each re-checked by the desk when it is sent."""

from collections.abc import Mapping
from dataclasses import dataclass

from dbre.core.gates.asking import LOCK_GATE
from dbre.core.identity.model import Permission, Principal
from dbre.core.operation.model import OperationRecord, Resolution
from dbre.core.operation.plan import Risk
from dbre.core.operation.states import OperationState

__all__ = ["Action", "ActionField", "actions_for"]

_S = OperationState
_RUNNING = frozenset({_S.QUEUED, _S.RUNNING, _S.VERIFYING})
_CANCELLABLE = _RUNNING | {_S.PLANNED, _S.AWAITING_APPROVAL, _S.PAUSED}


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionField:
    """One input of a form."""

    name: str
    title: str
    required: bool = False
    choices: tuple[str, ...] = ()
    value: str = ""
    kind: str = "text"  # of the input


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One form: its button says ``title``, its path ends in ``name``."""

    name: str
    title: str
    explanation: str
    fields: tuple[ActionField, ...] = ()
    hidden: tuple[tuple[str, str], ...] = ()  # names and values that come back as they are


_REASON = ActionField(name="reason", title="Reason")
_NEEDED_REASON = ActionField(name="reason", title="Reason", required=True)


def actions_for(record: OperationRecord, principal: Principal, labels: Mapping[str, str]) -> tuple[Action, ...]:
    """The forms to show; nothing is shown that would be refused for want of a permission."""
    found: list[Action] = []
    if record.state is _S.AWAITING_APPROVAL and principal.may(Permission.APPROVE, labels):
        found += _approve(record, principal)
    if principal.may(Permission.OPERATE, labels):
        found += [*_steering(record), *_again(record)]
    if record.state is _S.NEEDS_OPERATOR and principal.may(Permission.RESOLVE, labels):
        found.append(_RESOLVE)
    if record.hold and record.hold.is_gate and record.hold.by != LOCK_GATE and principal.may(Permission.OVERRIDE, labels):
        found.append(_override(record.hold.by))
    return tuple(found)


def _approve(record: OperationRecord, principal: Principal) -> list[Action]:
    if principal.name == record.requested_by or any(one.approver == principal.name for one in record.approvals):
        return []
    explanation = f"Consent to exactly the plan below, hash {record.plan_hash[:12]}. Your name is recorded."
    return [
        Action(name="approve", title="Approve", explanation=explanation, fields=(ActionField(name="comment", title="Comment"),))
    ]


def _steering(record: OperationRecord) -> list[Action]:
    found = []
    if record.state in _RUNNING:
        found.append(
            Action(
                name="pause",
                title="Pause",
                explanation="Stop before the next step, until somebody resumes it.",
                fields=(_REASON,),
            )
        )
    if record.state is _S.PAUSED and not (record.hold and record.hold.is_gate):
        found.append(Action(name="resume", title="Resume", explanation="Go on where it stopped."))
    if record.state in _CANCELLABLE and record.cancel_requested_by is None:
        explanation = "Stop, and undo every step that was done, the last one first."
        found.append(Action(name="cancel", title="Cancel", explanation=explanation, fields=(_REASON,)))
    if record.state in (_S.RUNNING, _S.PAUSED) and record.tuning:
        fields = tuple(ActionField(name=f"tune_{name}", title=name, value=str(value)) for name, value in record.tuning.items())
        found.append(Action(name="tune", title="Tune", explanation="Change values while it runs.", fields=fields))
    return found


def _again(record: OperationRecord) -> list[Action]:
    if record.state not in (_S.FAILED, _S.CANCELLED, _S.COMPENSATED, _S.CLOSED):
        return []
    explanation = "Submit the same input once more, as a new operation, if the plan is still the same."
    plan, fields = record.planned.plan, tuple[ActionField, ...]()
    if plan.risk is Risk.SEVERE:
        fields = (ActionField(name="confirm", title=f"Type {plan.confirmation} to confirm", required=True),)
    return [Action(name="retry", title="Retry", explanation=explanation, fields=fields)]


_RESOLVE = Action(
    name="resolve",
    title="Resolve",
    explanation="Look at the target first. done: the step happened, go on. redo: it did not, run it. undo: undo what was done. "
    "give-up: leave everything as it is.",
    fields=(
        ActionField(name="resolution", title="Decision", required=True, choices=tuple(one.value for one in Resolution)),
        _NEEDED_REASON,
    ),
)


def _override(gate: str) -> Action:
    fields = (
        ActionField(name="gate", title="Gate", required=True, value=gate),
        _NEEDED_REASON,
        ActionField(name="ticket", title="Ticket"),
    )
    return Action(
        name="override", title="Override", explanation="Bypass the gate that holds it. This is recorded.", fields=fields
    )
