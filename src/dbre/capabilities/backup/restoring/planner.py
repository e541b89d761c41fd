"""The restore planner: pure over a catalog, so that a plan can be made from the state store or from a vault alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from dbre.capabilities.backup.catalog.clock import ClockSample
from dbre.capabilities.backup.log.gaps import Coverage, MissingLog, coverage
from dbre.capabilities.backup.model import BackupSet, Catalog, SetState, StoredLog
from dbre.capabilities.backup.restoring.chains import Chain, candidates
from dbre.capabilities.backup.restoring.errors import InvalidTarget, NoSetForTarget
from dbre.capabilities.backup.restoring.lineage import Line, choose_line, switches_of
from dbre.capabilities.backup.restoring.plan import Loss, RestorePlan
from dbre.capabilities.backup.restoring.reach import Reach, reach_of, value_by
from dbre.core.text import counted, printable
from dbre.core.units import format_bytes, format_duration
from dbre.ports.backup.model import LogFile, LogPosition, Problem, RecoveryTarget, TargetKind

__all__ = ["RestoreChoice", "plan_restore"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreChoice:
    """What may be chosen besides the target."""

    position: LogPosition | None = None  # of a target that is a position, as the engine reads it
    set_id: str | None = None  # start from this set
    vaults: tuple[str, ...] | None = None  # use only these, in this order; None: any
    accept_loss: bool = False  # go as far as there is log where the target lies beyond it
    received: tuple[LogFile, ...] = ()  # in the spool of this machine, the one that is being written included


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A chain and the log that goes with it."""

    chain: Chain
    covered: Coverage | None  # None: the engine has no log
    reach: Reach | None
    passed_over: tuple[str, ...]


def plan_restore(
    catalog: Catalog,
    target: RecoveryTarget,
    *,
    now: datetime,
    clock_samples: Sequence[ClockSample] = (),
    choice: RestoreChoice = RestoreChoice(),
) -> RestorePlan:
    """Choose sets and log for a target, and say what stands in the way and what cannot be brought back.

    Takes the newest set that was consistent before the target, on the line of timelines on which the service lived then
    (or ``target.timeline``), whose chain is complete and whose own log is there. Source: backup.md 4.9.

    Raises: InvalidTarget for a moment in the future or without time zone; NoSetForTarget saying what can be recovered.
    """
    at = _moment(target, now)
    line = choose_line(catalog, _system(catalog, at, clock_samples), timeline=target.timeline, at=at, samples=clock_samples)
    found = _choose(catalog, line, target, at, clock_samples, choice)
    problems = [*_passed_over(found), *_branch(line), *_unlocated(catalog, found, target, choice)]
    sources = _sources(found.chain.sets, choice.vaults)
    problems += _without_source(found.chain.sets, choice.vaults)
    loss, lost_problems = _loss(found, target, at, choice)
    problems += lost_problems
    is_cut = loss is not None and choice.accept_loss
    newest = found.chain.newest
    return RestorePlan(
        cluster=newest.cluster,
        engine=newest.engine,
        system_id=line.system_id,
        asked=target,
        target=replace(target, kind=TargetKind.LATEST, at=None, value=None, timeline=line.timeline)
        if is_cut
        else replace(target, timeline=line.timeline),
        timeline=line.timeline,
        chain=found.chain.sets,
        logs=_files(catalog, line, found),
        start=newest.start,
        end=found.covered.end if found.covered else newest.stop,
        end_at=found.reach.end_at if found.reach else newest.stopped_at,
        may_end_with_log=is_cut or _may_end(found, target, choice),
        loss=loss,
        problems=tuple(problems),
        vaults=sources,
    )


def _may_end(found: _Found, target: RecoveryTarget, choice: RestoreChoice) -> bool:
    if target.kind is not TargetKind.TIME or found.reach is None:
        return False
    return choice.accept_loss or bool(found.reach.covers and found.reach.is_quiet)


def _moment(target: RecoveryTarget, now: datetime) -> datetime | None:
    if target.kind is not TargetKind.TIME:
        return None
    if target.at is None or target.at.tzinfo is None:
        raise InvalidTarget("the moment to recover has no time zone", hint="write 2026-11-21T04:00:00Z or with an offset")
    if target.at > now:
        ahead = format_duration((target.at - now).total_seconds())
        raise InvalidTarget(
            f"the moment to recover, {_utc(target.at)}, lies {ahead} in the future; it is {_utc(now)}",
            hint="for all that there is: --latest",
        )
    return target.at


def _system(catalog: Catalog, at: datetime | None, samples: Sequence[ClockSample]) -> str:
    """The system that served at that moment: a cluster that was built anew has had several."""
    sealed = [one for one in catalog.sets if one.state is SetState.SEALED]
    if not sealed:
        held = f"; {counted(len(catalog.sets), 'set')} in other states" if catalog.sets else ""
        raise NoSetForTarget(f"there is no sealed set to recover from{held}", hint="dbre backup list; dbre backup take CLUSTER")
    known = {one.system_id for one in sealed}
    lived = [one.system_id for one in samples if at is not None and one.at <= at and one.system_id in known]
    if lived:
        return lived[-1]
    before = [one for one in sealed if at is None or (one.stopped_at is not None and one.stopped_at < at)]
    return max(before or sealed, key=lambda one: (one.started_at, one.id)).system_id


def _choose(
    catalog: Catalog,
    line: Line,
    target: RecoveryTarget,
    at: datetime | None,
    samples: Sequence[ClockSample],
    choice: RestoreChoice,
) -> _Found:
    until = choice.position.value if choice.position is not None and target.kind is TargetKind.POSITION else None
    passed: list[str] = []
    for chain in candidates(catalog, line, before=at, until=until, set_id=choice.set_id):
        fault = chain.fault
        covered, reach = None, None
        newest = chain.newest
        if fault is None and newest.start is not None and newest.stop is not None:
            fault = _without_own_log(catalog, line, newest)
            end = _until(line, target, at, samples, until, newest)
            covered = _coverage(catalog, line, newest.needs_log_from or newest.start, end)
            reach = reach_of(covered, line, samples, at=at, stop=newest.stop, stopped_at=newest.stopped_at or newest.started_at)
        if fault is None:
            return _Found(chain=chain, covered=covered, reach=reach, passed_over=tuple(passed))
        passed.append(fault)
    raise _nothing(catalog, line, target, choice, passed)


def _until(
    line: Line,
    target: RecoveryTarget,
    at: datetime | None,
    samples: Sequence[ClockSample],
    position: int | None,
    newest: BackupSet,
) -> int | None:
    """Up to where log is needed; None: as far as there is any."""
    assert newest.stop is not None  # noqa: S101 -- for the type: callers looked
    if target.kind is TargetKind.IMMEDIATE:
        return newest.stop.value
    by_clock = value_by(line, samples, at) if at is not None else None
    wanted = position if position is not None else by_clock
    return None if wanted is None else max(wanted, newest.stop.value)


def _coverage(catalog: Catalog, line: Line, start: LogPosition, until: int | None) -> Coverage:
    switches = switches_of(catalog, line.system_id)
    return coverage(catalog.logs, switches, start=start, timeline=line.timeline, until=until, system_id=line.system_id)


def _without_own_log(catalog: Catalog, line: Line, one: BackupSet) -> str | None:
    """Without the log from its start to its stop a set never becomes consistent."""
    assert one.start is not None and one.stop is not None  # noqa: S101, PT018 -- for the type: callers looked
    if one.holds_its_log:
        return None
    covered = _coverage(catalog, line, one.start, one.stop.value)
    return f"set {one.id} needs {_holes(covered.missing)}, which is missing" if covered.missing else None


def _holes(missing: Sequence[MissingLog]) -> str:
    first = missing[0]
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    return f"log from {printable(first.start.text)} to {printable(first.end.text)} of timeline {first.timeline}{more}"


def _nothing(
    catalog: Catalog, line: Line, target: RecoveryTarget, choice: RestoreChoice, passed: Sequence[str]
) -> NoSetForTarget:
    if passed:
        return NoSetForTarget("no set before the target can be used: " + "; ".join(passed[:5]), hint="dbre backup map CLUSTER")
    chains = list(candidates(catalog, line, set_id=choice.set_id))
    what = "the target" if target.at is None else _utc(target.at)
    usable = [one.newest for one in chains if one.fault is None]
    if choice.set_id is not None and not usable:
        given = printable(choice.set_id, limit=100)
        return NoSetForTarget(
            f"set {given} is not a sealed set on the way to timeline {line.timeline}", hint="dbre backup list"
        )
    if not usable:
        return NoSetForTarget(
            f"no set lies on the way to timeline {line.timeline}", hint="dbre backup map CLUSTER shows what can be recovered"
        )
    first = min(usable, key=lambda one: one.started_at)
    ended = _utc(first.stopped_at) if first.stopped_at else "a moment that is not known"
    stop = f" (log position {printable(first.stop.text)})" if first.stop is not None else ""
    return NoSetForTarget(
        f"{what} lies before everything that can be recovered: set {first.id} is consistent from {ended} on{stop}",
        hint=f"choose a moment after {ended}, or --immediate --set {first.id} for that set itself",
        context={"set": first.id, "earliest": first.stopped_at.isoformat() if first.stopped_at else None},
    )


def _passed_over(found: _Found) -> list[Problem]:
    return [
        Problem(
            rule="backup.set_passed_over",
            message=f"a newer set cannot be used: {one}",
            hint="dbre backup verify SET; the restore takes longer from an older set",
            is_blocking=False,
        )
        for one in found.passed_over
    ]


def _branch(line: Line) -> list[Problem]:
    if line.note is None:
        return []
    return [Problem(rule="backup.other_branch", message=line.note, hint="--timeline N chooses another one", is_blocking=False)]


def _unlocated(catalog: Catalog, found: _Found, target: RecoveryTarget, choice: RestoreChoice) -> list[Problem]:
    """A name or a transaction may lie before the newest set; only replay finds it."""
    if target.kind not in (TargetKind.NAME, TargetKind.TRANSACTION) or choice.set_id is not None:
        return []
    others = sum(one.state is SetState.SEALED for one in catalog.sets) - 1
    if others < 1:
        return []
    newest = found.chain.newest
    return [
        Problem(
            rule="backup.target_not_located",
            message=f"where {printable(target.value or '', limit=100)} lies is not known before replay; set {newest.id} of "
            f"{_utc(newest.started_at)} is taken",
            hint="if it lies before that, choose an older set: --set SET",
            is_blocking=False,
        )
    ]


def _sources(chain: Sequence[BackupSet], allowed: Sequence[str] | None) -> tuple[str, ...]:
    holding = [name for one in chain for name in one.vaults]
    order = list(allowed) if allowed is not None else sorted(set(holding), key=lambda name: (-holding.count(name), name))
    return tuple(name for name in order if name in holding)


def _without_source(chain: Sequence[BackupSet], allowed: Sequence[str] | None) -> list[Problem]:
    return [
        Problem(
            rule="backup.set_not_in_vault",
            message=f"set {one.id} lies in {', '.join(one.vaults) or 'no vault'}"
            + (f", not in {', '.join(allowed)}" if allowed is not None else ""),
            hint="choose another vault: --vault NAME",
            is_blocking=True,
        )
        for one in chain
        if not any(allowed is None or name in allowed for name in one.vaults)
    ]


def _loss(
    found: _Found, target: RecoveryTarget, at: datetime | None, choice: RestoreChoice
) -> tuple[Loss | None, list[Problem]]:
    """What lies beyond the log that we have, or beyond its first hole."""
    if found.covered is None or found.reach is None:
        return _without_log(found, target, at, choice)
    covered, reach = found.covered, found.reach
    if target.kind is TargetKind.IMMEDIATE or reach.covers:
        return None, []
    goes_on = any(one.start <= covered.end.value < one.end for one in choice.received)
    holes = f"{_holes(covered.missing)} is missing" if covered.missing and not goes_on else None
    if at is None and holes is None:
        return None, []
    if at is not None and holes is None and (goes_on or reach.covers is None):
        return None, [_unknown(reach, at, covered)]
    beyond = f"the log that we have ends at {printable(covered.end.text)}"
    if reach.end_at is not None:
        beyond += f", {_utc(reach.end_at)}"
    seconds = (at - reach.end_at).total_seconds() if at is not None and reach.end_at is not None else None
    loss = Loss(until=reach.end_at, seconds=seconds, bytes=reach.bytes_beyond, reason=holes or beyond)
    return loss, [_lost(loss, beyond, choice)]


def _without_log(
    found: _Found, target: RecoveryTarget, at: datetime | None, choice: RestoreChoice
) -> tuple[Loss | None, list[Problem]]:
    """A copy that no log goes with is the state at its own moment, and nothing later."""
    stopped = found.chain.newest.stopped_at
    if target.kind in (TargetKind.LATEST, TargetKind.IMMEDIATE):
        return None, []
    reason = (
        f"no log goes with set {found.chain.newest.id}: it holds what there was at {_utc(stopped)}" if stopped else "no log"
    )
    seconds = (at - stopped).total_seconds() if at is not None and stopped is not None else None
    loss = Loss(until=stopped, seconds=seconds, bytes=None, reason=reason)
    return loss, [_lost(loss, reason, choice)]


def _unknown(reach: Reach, at: datetime, covered: Coverage) -> Problem:
    known = f"known is that it reaches {_utc(reach.end_at)}" if reach.end_at is not None else "nothing says when that was"
    return Problem(
        rule="backup.reach_unknown",
        message=f"whether the log reaches {_utc(at)} is not known: it ends at {printable(covered.end.text)}; {known}",
        hint="recovery ends with an error if it does not; --accept-loss goes as far as there is log",
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


def _files(catalog: Catalog, line: Line, found: _Found) -> tuple[StoredLog, ...]:
    if found.covered is None:
        return ()
    timelines = {one.timeline for one in line.spans}
    histories = [one for one in catalog.histories() if one.system_id == line.system_id and one.file.timeline in timelines]
    return (*sorted(histories, key=lambda one: one.file.timeline), *found.covered.files)


def _utc(moment: datetime | None) -> str:
    return (
        "an unknown moment"
        if moment is None
        else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}".rstrip("0").rstrip(".") + "Z"
    )
