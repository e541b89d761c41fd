"""Backups as JSON: null is not known, which is never zero."""

from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from dbre.capabilities.backup.model import BackupSet, Drill, RecoveryGap, RecoveryInterval
from dbre.capabilities.backup.overview import Overview
from dbre.ports.backup.model import Phase
from dbre.ports.restored_checks import RestoredResult

__all__ = ["BackupDetailItem", "BackupItem", "DrillItem", "GapItem", "IntervalItem", "PhaseItem", "ResultItem", "SetItem"]


class SetItem(BaseModel):
    """One copy."""

    model_config = ConfigDict(extra="forbid")

    id: str
    kind: str
    state: str
    parent_id: str | None
    provider: str
    system_id: str
    timeline: int | None
    start: str | None
    stop: str | None
    started_at: datetime
    stopped_at: datetime | None
    checksums: str
    bytes_source: int
    bytes_stored: int | None
    vaults: list[str]
    proven_at: datetime | None
    hold: str | None

    @classmethod
    def of(cls, one: BackupSet) -> Self:
        """A set as JSON."""
        return cls(
            id=one.id,
            kind=one.kind.value,
            state=one.state.value,
            parent_id=one.parent_id,
            provider=one.provider,
            system_id=one.system_id,
            timeline=one.timeline,
            start=one.start.text if one.start else None,
            stop=one.stop.text if one.stop else None,
            started_at=one.started_at,
            stopped_at=one.stopped_at,
            checksums=one.checksums.value,
            bytes_source=one.bytes_source,
            bytes_stored=one.bytes_stored,
            vaults=list(one.vaults),
            proven_at=one.proven_at,
            hold=one.hold,
        )


class IntervalItem(BaseModel):
    """Every moment in it can be recovered."""

    timeline: int
    system_id: str
    start: str
    end: str
    start_at: datetime | None
    end_at: datetime | None
    set_ids: list[str]

    @classmethod
    def of(cls, one: RecoveryInterval) -> Self:
        """An interval as JSON."""
        return cls(
            timeline=one.timeline,
            system_id=one.system_id,
            start=one.start.text,
            end=one.end.text,
            start_at=one.start_at,
            end_at=one.end_at,
            set_ids=list(one.set_ids),
        )


class GapItem(BaseModel):
    """A part of the log that is missing for good."""

    timeline: int
    began_at: datetime
    ended_at: datetime | None
    reason: str
    remedy: str

    @classmethod
    def of(cls, one: RecoveryGap) -> Self:
        """A gap as JSON."""
        return cls(timeline=one.timeline, began_at=one.began_at, ended_at=one.ended_at, reason=one.reason, remedy=one.remedy)


class PhaseItem(BaseModel):
    """One part of a restore."""

    name: str
    seconds: float
    bytes: int | None

    @classmethod
    def of(cls, one: Phase) -> Self:
        """A phase as JSON."""
        return cls(name=one.name, seconds=one.seconds, bytes=one.bytes)


class ResultItem(BaseModel):
    """What one check of a restored server found."""

    level: str
    name: str
    outcome: Literal["pass", "fail", "inconclusive"]
    detail: str
    seconds: float
    evidence: dict[str, Any]

    @classmethod
    def of(cls, one: RestoredResult) -> Self:
        """A result as JSON."""
        return cls(
            level=one.level,
            name=one.name,
            outcome=one.outcome.value,
            detail=one.detail,
            seconds=one.seconds,
            evidence=dict(one.evidence),
        )


class DrillItem(BaseModel):
    """One drill."""

    id: UUID
    cluster: str
    set_id: str | None
    verdict: Literal["pass", "fail", "inconclusive"]
    reason: str
    level: str
    mode: str
    target_kind: str
    target_value: str | None
    started_at: datetime
    ended_at: datetime
    reached: str | None
    reached_commit_at: datetime | None
    recovery_point_seconds: float | None
    recovery_time_seconds: float | None
    operation_id: UUID | None
    phases: list[PhaseItem]
    results: list[ResultItem]

    @classmethod
    def of(cls, one: Drill) -> Self:
        """A drill as JSON."""
        return cls(
            id=one.id,
            cluster=one.cluster,
            set_id=one.set_id,
            verdict=one.verdict.value,
            reason=one.reason,
            level=one.level,
            mode=one.mode,
            target_kind=one.target_kind,
            target_value=one.target_value,
            started_at=one.started_at,
            ended_at=one.ended_at,
            reached=one.reached.text if one.reached else None,
            reached_commit_at=one.reached_commit_at,
            recovery_point_seconds=one.recovery_point_seconds,
            recovery_time_seconds=one.recovery_time_seconds,
            operation_id=one.operation_id,
            phases=[PhaseItem.of(phase) for phase in one.phases],
            results=[ResultItem.of(result) for result in one.results],
        )


class BackupItem(BaseModel):
    """The backups of one cluster at a glance."""

    cluster: str
    policy: str | None
    newest_set: SetItem | None
    recoverable_from: datetime | None
    recoverable_until: datetime | None
    exposure_seconds: float | None
    recovery_point_limit_seconds: float | None
    open_gaps: int
    is_proven: bool
    last_proof_at: datetime | None
    last_proof_level: str | None
    last_drill_verdict: str | None
    recovery_time_seconds: float | None
    recovery_time_limit_seconds: float | None

    @classmethod
    def of(cls, one: Overview, *, now: datetime, exposure_seconds: float | None) -> Self:
        """An overview as JSON."""
        reach, proof, drill, policy = one.reach, one.last_proof, one.last_drill, one.policy
        return cls(
            cluster=one.cluster.name,
            policy=policy.name if policy else None,
            newest_set=SetItem.of(one.newest) if one.newest else None,
            recoverable_from=reach.start_at if reach else None,
            recoverable_until=reach.end_at if reach else None,
            exposure_seconds=exposure_seconds,
            recovery_point_limit_seconds=policy.recovery_point.total_seconds() if policy else None,
            open_gaps=sum(gap.ended_at is None for gap in one.gaps),
            is_proven=one.is_proven(now),
            last_proof_at=proof.ended_at if proof else None,
            last_proof_level=proof.level if proof else None,
            last_drill_verdict=drill.verdict.value if drill else None,
            recovery_time_seconds=proof.recovery_time_seconds if proof else None,
            recovery_time_limit_seconds=policy.recovery_time.total_seconds() if policy else None,
        )


class BackupDetailItem(BackupItem):
    """The backups of one cluster with all that they are made of."""

    sets: list[SetItem]
    intervals: list[IntervalItem]
    gaps: list[GapItem]
    drills: list[DrillItem]
