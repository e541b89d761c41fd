"""What was asked for and cannot be brought back, and what stands in the way because of it. Pure."""

from datetime import datetime

from dbre.capabilities.backup.restoring.choice import RestoreChoice
from dbre.capabilities.backup.restoring.choosing import Found
from dbre.capabilities.backup.restoring.plan import Loss
from dbre.capabilities.backup.restoring.wording import holes_words, moment_words
from dbre.core.text import printable
from dbre.core.units import format_bytes, format_duration
from dbre.ports.backup.model import Problem, RecoveryTarget, TargetKind

__all__ = ["loss_of"]


def loss_of(
    found: Found, target: RecoveryTarget, at: datetime | None, choice: RestoreChoice
) -> tuple[Loss | None, list[Problem]]:
    """What lies beyond the log that we have, or beyond its first hole."""
    if found.covered is None or found.reach is None:
        return _without_log(found, target, at, choice)
    covered, reach = found.covered, found.reach
    if target.kind is TargetKind.IMMEDIATE or reach.covers:
        return None, []
    goes_on = _goes_on(covered.end.value, target, choice)
    holes = f"{holes_words(covered.missing)} is missing" if covered.missing and not goes_on else None
    if at is None and holes is None:
        return None, []
    if at is not None and holes is None and (goes_on or reach.covers is None):
        return None, [_unknown(at)]
    beyond = f"the log that we have ends at {printable(covered.end.text)}"
    if reach.end_at is not None:
        beyond += f", {moment_words(reach.end_at)}"
    seconds = (at - reach.end_at).total_seconds() if at is not None and reach.end_at is not None else None
    loss = Loss(until=reach.end_at, seconds=seconds, bytes=reach.bytes_beyond, reason=holes or beyond)
    return loss, [_lost(loss, beyond, choice)]


def _goes_on(end: int, target: RecoveryTarget, choice: RestoreChoice) -> bool:
    """Whether log that was received and is not stored yet leads on; to a position: whether it may lead as far as that."""
    reached = end
    for one in sorted(choice.received, key=lambda one: one.start):
        if one.start <= reached:
            reached = max(reached, one.end)
    if target.kind is TargetKind.POSITION and choice.position is not None:
        return end < reached >= choice.position.value
    return reached > end


def _without_log(
    found: Found, target: RecoveryTarget, at: datetime | None, choice: RestoreChoice
) -> tuple[Loss | None, list[Problem]]:
    """A copy that no log goes with is the state at its own moment, and nothing later."""
    newest = found.chain.newest
    stopped = newest.stopped_at
    if target.kind in (TargetKind.LATEST, TargetKind.IMMEDIATE):
        return None, []
    reason = f"no log goes with set {newest.id}: it holds what there was at {moment_words(stopped)}" if stopped else "no log"
    seconds = (at - stopped).total_seconds() if at is not None and stopped is not None else None
    loss = Loss(until=stopped, seconds=seconds, bytes=None, reason=reason)
    return loss, [_lost(loss, reason, choice)]


def _unknown(at: datetime) -> Problem:
    """Without how far it is known to reach: log that comes in meanwhile must not make another plan of the same restore."""
    return Problem(
        rule="backup.reach_unknown",
        message=f"whether the log reaches {moment_words(at)} is not known: nothing that came in tells of a moment so late",
        hint="recovery ends with an error if it does not (dbre backup map CLUSTER shows how far it is known to reach);"
        " --accept-loss goes as far as there is log",
        is_blocking=False,
    )


def _lost(loss: Loss, beyond: str, choice: RestoreChoice) -> Problem:
    parts = []
    if loss.seconds is not None:
        parts.append(f"up to {format_duration(max(0.0, loss.seconds))} before the target")
    if loss.bytes is not None:
        parts.append(f"{format_bytes(loss.bytes)} of log")
    lost = ", ".join(parts) or "how much is not known"
    reason = loss.reason if loss.reason == beyond else f"{loss.reason}; {beyond}"
    return Problem(
        rule="backup.lost_tail",
        message=f"not all of it can be recovered: {reason}; lost: {lost}",
        hint="--accept-loss recovers as far as there is log; dbre backup map CLUSTER shows what can be recovered",
        is_blocking=not choice.accept_loss,
    )
