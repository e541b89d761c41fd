"""What an error on the way to a restored server says about the backup: at which level, and whether it speaks against it."""

from typing import Any

from dbre.capabilities.backup.drilling.levels import failed, inconclusive
from dbre.capabilities.backup.restoring.errors import NoSetForTarget, RestoreImpossible
from dbre.core.errors import Conflict, DbreError, Denied, Refused, Unreachable, Unsupported, UsageError
from dbre.core.programs.errors import ProgramFailed
from dbre.core.text import printable
from dbre.ports.backup.errors import CopyDamaged, LogConflict, LogGap, RecoveryFailed
from dbre.ports.restored_checks import RestoredResult

__all__ = ["level_of_phase", "result_of_error"]

_PHASES = {
    "fetch": "L1", "verify": "L1", "fetch_log": "L2", "scan": "L2", "combine": "L3", "provision": "L3", "start": "L3",
    "replay": "L3", "promote": "L3",
}  # fmt: skip
_NAMES = {"L0": "catalog", "L1": "copies", "L2": "log", "L3": "recovery"}
_OF_THE_BACKUP = frozenset({"backup.lost_tail", "backup.set_not_in_vault", "backup.no_set", "backup.log_gap"})
"""Problems of a plan that speak against the backup; the others are about this machine."""
_AROUND = (Unreachable, Unsupported, UsageError, Denied, ProgramFailed)


def level_of_phase(phase: str | None) -> str:
    """The level that is under way while that phase runs.

    >>> level_of_phase("scan")
    'L2'
    """
    return _PHASES.get(phase or "", "L1")


def result_of_error(error: DbreError, *, phase: str | None) -> RestoredResult:
    """The result that an error is. What is damaged, missing or contradicts itself fails; what kept us from looking does not."""
    detail = printable(error.message, limit=1_000)
    evidence: dict[str, Any] = {"code": error.code, "phase": phase}
    if "faults" in error.context:
        evidence["faults"] = error.context["faults"]
    if isinstance(error, NoSetForTarget):
        return failed("L0", _NAMES["L0"], detail, **evidence)
    if isinstance(error, RestoreImpossible):
        problems = error.context.get("problems", [])
        rules = {str(one["rule"]) for one in problems if isinstance(one, dict)} if isinstance(problems, list) else set()
        make = failed if rules & _OF_THE_BACKUP else inconclusive
        return make("L0", _NAMES["L0"], detail, problems=problems, **evidence)
    level = _level(error, phase)
    if isinstance(error, CopyDamaged | LogGap | LogConflict | RecoveryFailed):
        return failed(level, _NAMES[level], detail, **evidence)
    if isinstance(error, _AROUND) or (isinstance(error, Refused) and not isinstance(error, Conflict)):
        return inconclusive(level, _NAMES[level], detail, **evidence)
    return failed(level, _NAMES[level], detail, **evidence)


def _level(error: DbreError, phase: str | None) -> str:
    if isinstance(error, LogGap | LogConflict):
        return "L2"
    if isinstance(error, RecoveryFailed):
        return "L3"
    if isinstance(error, CopyDamaged) and _is_of_a_set(error):
        return "L1"
    return level_of_phase(phase)


def _is_of_a_set(error: DbreError) -> bool:
    """Whether the faults are those of members: they are told when the last member was read, and the log comes next."""
    faults = error.context.get("faults")
    return isinstance(faults, list) and any(isinstance(one, dict) and "set" in one for one in faults)
