"""The restore planner: pure over a catalog, so that a plan can be made from the state store or from a vault alone."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from dbre.capabilities.backup.catalog.clock import ClockSample
from dbre.capabilities.backup.model import Catalog, SetState, StoredLog
from dbre.capabilities.backup.restoring.choice import RestoreChoice
from dbre.capabilities.backup.restoring.choosing import Found, Search
from dbre.capabilities.backup.restoring.errors import InvalidTarget, NoSetForTarget
from dbre.capabilities.backup.restoring.lineage import Line, choose_line
from dbre.capabilities.backup.restoring.losing import loss_of
from dbre.capabilities.backup.restoring.objections import objections_to, sources_of
from dbre.capabilities.backup.restoring.plan import RestorePlan
from dbre.capabilities.backup.restoring.wording import moment_words
from dbre.core.text import counted
from dbre.core.units import format_duration
from dbre.ports.backup.model import RecoveryTarget, TargetKind

__all__ = ["plan_restore"]


def plan_restore(
    catalog: Catalog,
    target: RecoveryTarget,
    *,
    now: datetime,
    clock_samples: Sequence[ClockSample] = (),
    choice: RestoreChoice | None = None,
) -> RestorePlan:
    """Choose sets and log for a target, and say what stands in the way and what cannot be brought back.

    Takes the newest set that was consistent before the target, on the line of timelines on which the service lived then
    (or ``target.timeline``), whose chain is complete and whose own log is there. Source: backup.md 4.9.

    Raises: InvalidTarget for a moment in the future or without time zone; NoSetForTarget saying what can be recovered.
    """
    choice, at = choice or RestoreChoice(), _moment(target, now)
    line = choose_line(catalog, _system(catalog, at, clock_samples), timeline=target.timeline, at=at, samples=clock_samples)
    search = Search(catalog=catalog, line=line, target=target, at=at, samples=clock_samples, choice=choice)
    found = search.found()
    loss, lost = loss_of(found, target, at, choice)
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
        problems=(*objections_to(found, search), *lost),
        vaults=sources_of(found.chain.sets, choice.vaults),
    )


def _may_end(found: Found, target: RecoveryTarget, choice: RestoreChoice) -> bool:
    """A position where the last file ends is reached by all of that file; servers look for something that lies behind it."""
    if target.kind is TargetKind.POSITION and choice.position is not None and found.covered is not None:
        last = found.covered.files[-1:]
        return found.covered.is_complete and [one.file.end for one in last] == [choice.position.value]
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
            f"the moment to recover, {moment_words(target.at)}, lies {ahead} in the future; it is {moment_words(now)}",
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


def _files(catalog: Catalog, line: Line, found: Found) -> tuple[StoredLog, ...]:
    if found.covered is None:
        return ()
    timelines = {one.timeline for one in line.spans}
    histories = [one for one in catalog.histories() if one.system_id == line.system_id and one.file.timeline in timelines]
    return (*sorted(histories, key=lambda one: one.file.timeline), *found.covered.files)
