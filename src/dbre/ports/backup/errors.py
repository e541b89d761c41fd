"""What can go wrong with copies and recovery, whatever the engine."""

from dbre.core.errors import Conflict, DbreError

__all__ = ["CopyDamaged", "CopyFailed", "LogConflict", "LogGap", "RecoveryFailed", "TargetNotReached"]


class CopyFailed(DbreError):
    """The program that copies ended with an error, or said that the source is damaged."""

    code = "backup.copy_failed"


class CopyDamaged(Conflict):
    """A stored copy is not what was copied."""

    code = "backup.copy_damaged"


class LogGap(Conflict):
    """Log files are missing for good: recovery cannot go past this place."""

    code = "backup.log_gap"


class LogConflict(Conflict):
    """Two log files of the same name have different contents."""

    code = "backup.log_conflict"


class RecoveryFailed(DbreError):
    """A server that was started from a copy ended, hung, or did not reach its target."""

    code = "backup.recovery_failed"


class TargetNotReached(RecoveryFailed):
    """The log ended before the target. The directory can be recovered once more, with a target that is LATEST."""

    code = "backup.target_not_reached"
