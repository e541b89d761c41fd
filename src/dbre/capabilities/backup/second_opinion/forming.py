"""The opinion itself: arithmetic over what was read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from dbre.capabilities.backup.catalog.clock import ClockSample
from dbre.capabilities.backup.catalog.phases import RestorePhase
from dbre.capabilities.backup.forecast.model import forecast
from dbre.capabilities.backup.log.clock_map import ClockMap
from dbre.capabilities.backup.log.gaps import ancestry
from dbre.capabilities.backup.log.intervals import recovery_intervals, usable_sets
from dbre.capabilities.backup.model import BackupSet, Catalog
from dbre.capabilities.backup.restoring.errors import NoSetForTarget
from dbre.capabilities.backup.restoring.plan import RestorePlan
from dbre.capabilities.backup.restoring.planner import plan_restore
from dbre.capabilities.backup.second_opinion.as_catalog import as_catalog
from dbre.capabilities.backup.second_opinion.holes import log_holes, reach, unknown_parents
from dbre.capabilities.backup.second_opinion.model import ForeignExposure, LogHole, Opinion, SetOpinion
from dbre.core.text import counted, printable
from dbre.ports.backup.model import LogPosition, Problem, RecoveryTarget, TargetKind, Verified
from dbre.ports.backup.repository import RepositoryFacts

__all__ = ["Seen", "form_opinion"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What an opinion is formed of, besides the repository itself."""

    repository: str
    cluster: str
    engine: str
    is_proved: bool
    now: datetime
    server: LogPosition | None = None  # where the server is now
    server_system: str | None = None  # and which system it is
    why_no_server: str | None = "no cluster of the inventory is named: --cluster"
    samples: Sequence[ClockSample] = ()
    phases: Sequence[RestorePhase] = ()
    verified: Verified | None = None


def form_opinion(facts: RepositoryFacts, seen: Seen) -> Opinion:
    """What a repository is worth, as far as reading it tells. Raises: Conflict where its histories contradict each other."""
    catalog = as_catalog(facts, cluster=seen.cluster, engine=seen.engine, repository=seen.repository)
    holes = log_holes(catalog, segment_bytes=facts.segment_bytes)
    sets = tuple(_set_opinions(facts, catalog))
    good = [one for one in sets if one.problem is None]
    plan = _plan(catalog, seen)
    exposure = _exposure(facts, catalog, good, seen)
    return Opinion(
        repository=seen.repository,
        cluster=seen.cluster,
        engine=seen.engine,
        is_proved=seen.is_proved,
        tool=facts.tool,
        catalog=catalog,
        sets=sets,
        holes=holes,
        intervals=recovery_intervals(catalog, seen.samples),
        exposure=exposure,
        plan=plan,
        forecast=forecast(plan, seen.phases) if plan is not None else None,
        problems=(*_problems(sets, holes), *unknown_parents(catalog), *facts.problems, *_unproved(facts, seen)),
        verified=seen.verified,
    )


def _unproved(facts: RepositoryFacts, seen: Seen) -> Iterator[Problem]:
    if not seen.is_proved:
        yield Problem(
            rule="backup.not_proved",
            message=f"this adapter of {facts.tool.name} was never run on a server: it may misread what it was shown",
            hint="a DSN for the conformance suite proves it: tests/backup/foreign",
            is_blocking=False,
        )


def _set_opinions(facts: RepositoryFacts, catalog: Catalog) -> Iterator[SetOpinion]:
    usable = {one.id for one in usable_sets(catalog)}
    by_label = {one.id: one for one in catalog.sets}
    for found in facts.sets:
        stored = by_label[found.label]
        reaches = reach(catalog, stored)
        yield SetOpinion(found=found, problem=_why_unusable(stored, found.label in usable, reaches, by_label), reaches=reaches)


def _why_unusable(one: BackupSet, is_closed: bool, reaches: LogPosition | None, by_label: dict[str, BackupSet]) -> str | None:
    if one.start is None or one.stop is None:
        return "the tool does not say at which position of the log it begins and ends"
    if one.parent_id is not None and one.parent_id not in by_label:
        return f"it needs {one.parent_id}, which is not there"
    if not is_closed:
        return "a set that it needs cannot be used"
    if reaches is None or reaches.value < one.stop.value:
        at = reaches.text if reaches is not None else one.start.text
        return f"the log that makes it consistent is missing from {at} on; it is needed up to {one.stop.text}"
    return None


def _plan(catalog: Catalog, seen: Seen) -> RestorePlan | None:
    try:
        return plan_restore(catalog, RecoveryTarget(kind=TargetKind.LATEST), now=seen.now, clock_samples=seen.samples)
    except NoSetForTarget:
        return None  # told as a problem of its own, with the reason of every set


def _exposure(facts: RepositoryFacts, catalog: Catalog, good: Sequence[SetOpinion], seen: Seen) -> ForeignExposure:
    mine = [one for one in good if one.found.system_id == seen.server_system] or good
    until = max((one.reaches for one in mine if one.reaches is not None), default=None)
    if until is None:
        reason = "no set can be restored from: everything would be lost"
        return ForeignExposure(until=None, stored_at=None, server=seen.server, bytes=None, seconds=None, reason_unknown=reason)
    newest = next(one for one in mine if one.reaches == until)
    ending = [one.stored_at for one in facts.logs if one.file.end == until.value and one.file.timeline == until.timeline]
    stored_at = ending[-1] if ending else None
    server = seen.server
    if server is not None and seen.server_system not in (None, newest.found.system_id):
        reason = f"the server is system {seen.server_system}, and the repository has nothing of it: everything would be lost"
        return ForeignExposure(until=until, stored_at=stored_at, server=server, bytes=None, seconds=None, reason_unknown=reason)
    if server is None:
        return ForeignExposure(
            until=until, stored_at=stored_at, server=None, bytes=None, seconds=None, reason_unknown=seen.why_no_server
        )
    if server.timeline != until.timeline:
        reason = f"the server is on timeline {server.timeline}, the newest log of the repository on {until.timeline}"
        return ForeignExposure(until=until, stored_at=stored_at, server=server, bytes=None, seconds=None, reason_unknown=reason)
    lost = max(0, server.value - until.value)
    switches = [one for one in catalog.switches if one.system_id == newest.found.system_id]
    clock = ClockMap.along(seen.samples, ancestry(switches, until.timeline), system_id=newest.found.system_id)
    since = clock.all_before(until.value) if lost else None
    seconds = 0.0 if lost == 0 else (seen.now - since).total_seconds() if since is not None and since <= seen.now else None
    unknown = None if seconds is not None else "nobody sampled when the server wrote what is not archived yet"
    return ForeignExposure(until=until, stored_at=stored_at, server=server, bytes=lost, seconds=seconds, reason_unknown=unknown)


def _problems(sets: Sequence[SetOpinion], holes: Sequence[LogHole]) -> Iterator[Problem]:
    for one in sets:
        if one.problem is not None:
            yield Problem(
                rule="backup.set_unusable",
                message=f"set {printable(one.found.label, limit=100)} cannot be restored from: {printable(one.problem)}",
                hint="make a new full backup now; the tool's own list shows it as good",
                is_blocking=True,
            )
        if one.found.error is not None:
            yield Problem(
                rule="backup.tool_says",
                message=f"set {printable(one.found.label, limit=100)}: {printable(one.found.error)}",
                hint="its pages were damaged before it was copied: see the log of the backup, and check the source",
                is_blocking=True,
            )
    if all(one.problem is not None for one in sets):
        yield Problem(
            rule="backup.no_usable_set",
            message=f"none of {counted(len(sets), 'set')} can be restored from" if sets else "there is no set",
            hint="make a full backup now",
            is_blocking=True,
        )
    for hole in holes:
        many = counted(hole.files, "log file") if hole.files is not None else "log"
        behind = [one.found.label for one in sets if one.problem is None and _begins_behind(one, hole)]
        yield Problem(
            rule="backup.log_gap",
            message=f"{many} missing on timeline {hole.timeline} from {hole.start.text} to {hole.end.text}: "
            "no set from before the hole can be recovered past it"
            + (
                f"; set {printable(behind[0], limit=100)} begins behind it"
                if behind
                else ", and no usable set begins behind it"
            ),
            hint="look for the files on the server and in other archives" + ("" if behind else "; else make a full backup now"),
            is_blocking=not behind,
        )


def _begins_behind(one: SetOpinion, hole: LogHole) -> bool:
    start = one.found.start
    return start is not None and one.found.system_id == hole.system_id and start.value >= hole.end.value
