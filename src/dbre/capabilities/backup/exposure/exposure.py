"""How much would be lost now, in bytes and seconds: the end of the server's log against the end of what can be recovered."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from dbre.capabilities.backup.catalog.clock import ClockSample, list_samples
from dbre.capabilities.backup.exposure.model import Exposure, Tier, TierExposure
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.log.clock_map import ClockMap
from dbre.capabilities.backup.log.gaps import ancestry, coverage
from dbre.capabilities.backup.log.origin import LogOrigin, find_origin, receiver_name
from dbre.capabilities.backup.log.places import spool_directory, spool_files
from dbre.capabilities.backup.log.recent_log import RecentLog, read_recent_log
from dbre.capabilities.backup.model import LogState, StoredLog
from dbre.core.errors import Conflict, DbreError, Unsupported
from dbre.core.store import Store
from dbre.ports.backup.model import LogKind, LogPosition

__all__ = ["measure"]

_LOOK_BACK = timedelta(days=1)
_VAULTED = frozenset({LogState.VAULTED, LogState.VERIFIED})
_NO_SET = "no sealed backup set lies on the way to the present timeline: nothing can be recovered"
_STALE = "the server writes timeline {}, and timeline {} of the same system is known: another primary has taken over"
_UNSAID = "no receiver says how far it is"
_NOT_ASKED = "the server does not know its receivers: /metrics of the dbre server that receives tells"
_CLOCK_STEP = timedelta(seconds=2)  # backwards, that may come from reading two clocks one after the other


async def measure(
    ground: BackupGround, cluster: str, *, origin: LogOrigin | None = None, flushed: LogPosition | None = None
) -> Exposure:
    """Ask the primary where its log ends, and compare. Where it does not answer, exposure is unknown, and says why.

    ``flushed`` is what a receiver in this process knows; without it the server is asked.

    Raises: UsageError for a cluster without a policy; Unsupported without a state store; StoreError.
    """
    policy = ground.require_policy(cluster)
    store = _store_of(ground)
    try:
        found = origin or await find_origin(ground, ground.fleet.cluster(cluster), policy)
        position, receiver, unsaid = await _ask(found)
    except DbreError as error:
        return _unknown(cluster, ground.clock.now(), error.message)
    now = ground.clock.now()  # after the answer: what is written meanwhile is younger
    spool = spool_directory(ground.directory, cluster, found.system_id)
    try:
        recent, samples = await _look(store, found, spool, now)
        line = ancestry(recent.switches, position.timeline)
    except Conflict as error:
        return replace(_unknown(cluster, now, error.message), position=position)
    if recent.start is None:
        return replace(_unknown(cluster, now, _NO_SET), position=position)
    newest = max((one.timeline for one in recent.switches), default=position.timeline)
    if newest > position.timeline:  # what the old primary says of its own log is no answer for the new one's
        return replace(_unknown(cluster, now, _STALE.format(position.timeline, newest)), position=position)
    clock = ClockMap.along(samples, line, system_id=found.system_id)
    tiers = []
    for tier in _tiers(policy.log.mode):
        reached: LogPosition | str = unsaid
        if tier is not Tier.STREAM or flushed or receiver:
            reached = _reached(recent, recent.start, position.timeline, tier, flushed or receiver, found.segment_bytes)
        tiers.append(_of_tier(tier, reached, position, clock, now))
    best = min(tiers, key=lambda one: (one.bytes is None, one.bytes or 0, one.seconds is None))
    return Exposure(
        cluster=cluster,
        at=now,
        position=position,
        bytes=best.bytes,
        seconds=best.seconds,
        reason_unknown=best.reason_unknown,
        tiers=tuple(tiers),
    )


def _tiers(mode: str) -> Sequence[Tier]:
    if mode in ("stream", "synchronous"):
        return (Tier.STREAM, Tier.SPOOL, Tier.VAULT)
    return (Tier.SPOOL, Tier.VAULT)


async def _ask(origin: LogOrigin) -> tuple[LogPosition, LogPosition | None, str]:
    """Where the log ends, up to where our receiver said to the server that it is durable, and why it may not have."""
    if origin.source is None:
        return await origin.port.position(origin.access), None, _UNSAID
    backlog = await origin.source.backlog(receiver_name(origin.cluster.name))
    return backlog.position, backlog.flushed, _UNSAID if backlog.is_active is not None else _NOT_ASKED


async def _look(store: Store, origin: LogOrigin, spool: Path, now: datetime) -> tuple[RecentLog, Sequence[ClockSample]]:
    cluster, system_id = origin.cluster.name, origin.system_id
    async with store.read() as connection:
        recent = await read_recent_log(connection, cluster, system_id, origin.timeline)
        samples = await list_samples(connection, cluster, system_id=system_id, since=now - _LOOK_BACK)
        if not samples:
            samples = await list_samples(connection, cluster, system_id=system_id, limit=1)
    known = {one.file.name for one in recent.logs}
    fresh = [one for one in await asyncio.to_thread(_spooled, origin, spool, now) if one.file.name not in known]
    return replace(recent, logs=[*recent.logs, *fresh]), samples


def _spooled(origin: LogOrigin, spool: Path, now: datetime) -> list[StoredLog]:
    """Finished files of the spool, among them those that nobody wrote down yet: they are durable here."""
    source, found = origin.source, []
    if source is None:
        return []
    try:
        paths = spool_files(spool)
    except OSError:  # none yet, or of another user: what nobody sees counts as not there
        return []
    for path in paths:
        try:
            if not source.is_whole(path):
                continue
            size = path.stat().st_size
        except (Conflict, OSError):  # just begun, or let go while we looked
            continue
        file = origin.port.log_file(path.name, size=size, sha256="", segment_bytes=origin.segment_bytes)
        if file is not None and file.kind is LogKind.SEGMENT:
            found.append(
                StoredLog(
                    cluster=origin.cluster.name,
                    system_id=origin.system_id,
                    file=file,
                    state=LogState.RECEIVED,
                    received_at=now,
                )
            )
    return found


def _reached(
    recent: RecentLog, start: LogPosition, timeline: int, tier: Tier, flushed: LogPosition | None, segment_bytes: int | None
) -> LogPosition | str:
    """Up to where this tier reaches without a hole, or why that is unknown."""
    logs = [one for one in recent.logs if one.state in _VAULTED] if tier is Tier.VAULT else recent.logs
    try:
        found = coverage(logs, recent.switches, start=start, timeline=timeline)
    except Conflict as error:
        return error.message
    if recent.stop is not None and found.end.value < recent.stop.value:
        return f"log that the newest set needs is missing from {found.end.text} on"
    if tier is not Tier.STREAM:
        return found.end
    if flushed is None:
        return _UNSAID
    if flushed.timeline != timeline:
        return f"what is received is of timeline {flushed.timeline}, and the server writes timeline {timeline}"
    begins = flushed.value // segment_bytes * segment_bytes if segment_bytes is not None else flushed.value
    return max(flushed, found.end, key=lambda one: one.value) if found.end.value >= begins else found.end


def _of_tier(tier: Tier, reached: LogPosition | str, end: LogPosition, clock: ClockMap, now: datetime) -> TierExposure:
    if isinstance(reached, str):
        return TierExposure(tier=tier, position=None, bytes=None, seconds=None, reason_unknown=reached)
    missing = max(end.value - reached.value, 0)
    if not missing:
        return TierExposure(tier=tier, position=reached, bytes=0, seconds=0.0, reason_unknown=None)
    since = clock.all_before(reached.value)  # whatever is not there was written after that
    if since is None:
        why = "it is not known when the log passed that place: no sample of the clock is as old"
        return TierExposure(tier=tier, position=reached, bytes=missing, seconds=None, reason_unknown=why)
    if since - now > _CLOCK_STEP:
        why = f"the clock was set back: a sample is of {since:%Y-%m-%d %H:%M:%SZ}, which is yet to come"
        return TierExposure(tier=tier, position=reached, bytes=missing, seconds=None, reason_unknown=why)
    return TierExposure(
        tier=tier, position=reached, bytes=missing, seconds=max((now - since).total_seconds(), 0.0), reason_unknown=None
    )


def _unknown(cluster: str, at: datetime, reason: str) -> Exposure:
    return Exposure(cluster=cluster, at=at, position=None, bytes=None, seconds=None, reason_unknown=reason, tiers=())


def _store_of(ground: BackupGround) -> Store:
    if ground.store is None:
        raise Unsupported("exposure is measured with the clock in a state store, and none is open here", hint="dbre db status")
    return ground.store
