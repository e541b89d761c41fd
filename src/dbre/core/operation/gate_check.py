"""Whether what the gates say lets an operation be submitted."""

from collections.abc import Collection, Sequence

from dbre.core.gates.asking import LOCK_GATE
from dbre.core.gates.model import GateDecision, GateVerdict
from dbre.core.operation.errors import GateRefused, TargetBusy

__all__ = ["check_gates"]


def check_gates(decisions: Sequence[GateDecision], *, fail_if_busy: bool, overrides: Collection[str] = ()) -> None:
    """A gate that holds is waited for. Raises: GateRefused; TargetBusy where the target is held and nobody wants to wait."""
    refused = [one for one in decisions if one.verdict is GateVerdict.REFUSE and one.gate not in overrides]
    if refused:
        raise GateRefused(
            "; ".join(f"gate {one.gate} refuses: {one.reason}" for one in refused),
            hint=f'wait, or --override {refused[0].gate} --reason "..." (needs permission, is recorded)',
            context={
                "gates": [one.gate for one in refused],
                "evidence": {one.gate: dict(one.evidence) for one in refused},
            },
        )
    busy = next((one for one in decisions if one.gate == LOCK_GATE and one.verdict is GateVerdict.HOLD), None)
    if fail_if_busy and busy is not None:
        raise TargetBusy(busy.reason, hint="wait for it, or leave out --fail-if-busy", context=dict(busy.evidence))
