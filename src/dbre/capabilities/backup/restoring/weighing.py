"""A newer copy without log against an older one with log: which of the two loses less. Pure."""

from collections.abc import Sequence

from dbre.capabilities.backup.log.gaps import Coverage
from dbre.capabilities.backup.model import BackupSet
from dbre.capabilities.backup.restoring.reach import Reach
from dbre.capabilities.backup.restoring.wording import moment_words
from dbre.ports.backup.model import LogFile, Problem, RecoveryTarget, TargetKind

__all__ = ["goes_farther", "why_other"]


def goes_farther(
    target: RecoveryTarget, covered: Coverage, reach: Reach, bare: BackupSet, *, is_short: bool, received: Sequence[LogFile]
) -> bool:
    """Whether log brings back more of what was asked for than a copy without log, which holds one moment only.

    A position, a name and a transaction lie in log and nowhere else. ``is_short``: the log is known to lack something that
    the copy holds. Where no clock tells, log that came in after the copy was made counts as reaching farther.
    """
    if target.kind not in (TargetKind.LATEST, TargetKind.TIME) or reach.covers:
        return True
    if any(one.start <= covered.end.value < one.end for one in received):
        return True  # it goes on in what this machine received last
    held = bare.stopped_at
    if held is None or (reach.end_at is not None and reach.end_at >= held):
        return True
    return not is_short and not covered.missing and any(one.received_at >= held for one in covered.files[-1:])


def why_other(bare: BackupSet, logged: BackupSet, reach: Reach, *, is_logged: bool) -> Problem:
    """What to tell of the one that is not taken. Log that is taken goes on: how far it reaches now is no part of a plan."""
    held = (
        f"{bare.kind.value} set {bare.id} holds what there was at {moment_words(bare.stopped_at)}, and no log leads on from it"
    )
    if is_logged:
        return Problem(
            rule="backup.copy_without_log_passed_over",
            message=f"{held}; set {logged.id} has log that leads farther, which loses less, so it is taken",
            hint=f"for the newer copy itself: --set {bare.id}",
            is_blocking=False,
        )
    ends = f"known to reach {moment_words(reach.end_at)}" if reach.end_at is not None else "whose end no clock tells"
    return Problem(
        rule="backup.log_ends_before_copy",
        message=f"set {logged.id} has log that is {ends}; {held}, which loses less, so it is taken",
        hint=f"for the older copy with its log: --set {logged.id}",
        is_blocking=False,
    )
