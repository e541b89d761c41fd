"""What lies in a repository of another tool, as a catalog: planners, gap algebra and forecasts then work on it unchanged."""

from datetime import UTC, datetime

from dbre.capabilities.backup.model import BackupSet, Catalog, LogState, SetState, StoredLog, TimelineSwitch
from dbre.ports.backup.model import ChecksumState
from dbre.ports.backup.repository import ForeignSet, RepositoryFacts

__all__ = ["as_catalog"]

_NOBODY_KNOWS = datetime.min.replace(tzinfo=UTC)
"""Nothing here reads when a file was received; the value must only never look like a recent moment."""


def as_catalog(facts: RepositoryFacts, *, cluster: str, engine: str, repository: str) -> Catalog:
    """The catalog of one repository; ``repository`` stands for the vault in which everything lies.

    Sets keep their labels as ids. A set that its tool calls finished counts as sealed: that is what it claims, no proof.
    """
    return Catalog(
        sets=tuple(_set(one, facts, cluster, engine, repository) for one in facts.sets),
        logs=tuple(
            StoredLog(
                cluster=cluster,
                system_id=one.system_id,
                file=one.file,
                state=LogState.VAULTED,
                received_at=one.stored_at or _NOBODY_KNOWS,
                vaults=(repository,),
            )
            for one in facts.logs
        ),
        switches=tuple(
            TimelineSwitch(system_id=one.system_id, timeline=one.timeline, parent=one.parent, at=one.at)
            for one in facts.switches
        ),
    )


def _set(one: ForeignSet, facts: RepositoryFacts, cluster: str, engine: str, repository: str) -> BackupSet:
    return BackupSet(
        id=one.label,
        cluster=cluster,
        engine=engine,
        policy="",
        provider=facts.tool.name,
        system_id=one.system_id,
        kind=one.kind,
        parent_id=one.parent,
        state=SetState.SEALED,
        start=one.start,
        stop=one.stop,
        started_at=one.started_at,
        stopped_at=one.stopped_at,
        version_text=one.version_text or "",
        tool=f"{facts.tool.name} {facts.tool.version or ''}".strip(),
        checksums=ChecksumState.UNCHECKED if one.error is None else ChecksumState.BAD,
        bytes_source=one.bytes_source or 0,
        bytes_stored=one.bytes_stored,
        manifest_sha256=None,
        vaults=(repository,),
    )
