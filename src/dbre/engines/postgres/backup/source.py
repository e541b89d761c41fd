"""What a server is, read before it is copied: the part that every copy needs."""

from dataclasses import dataclass
from datetime import UTC, datetime

from dbre.engines.postgres.backup.asking import Questions
from dbre.engines.postgres.backup.log_names import parse_lsn
from dbre.ports.backup.horizon import WriteHorizon
from dbre.ports.backup.model import LogPosition

__all__ = ["Source", "read_horizon", "read_position", "read_source"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A server that can be copied."""

    version: tuple[int, ...]
    version_text: str
    system_id: str
    timeline: int
    position: LogPosition
    server_time: datetime
    is_replica: bool
    has_checksums: bool
    has_whole_pages: bool  # full_page_writes of the last checkpoint; on a replica: of the primary's that it replayed
    segment_bytes: int
    may_replicate: bool
    login: str


async def read_source(questions: Questions) -> Source:
    """Ask who the server is and where its log ends."""
    found = await questions.row("backup_source")
    control = await questions.row("backup_control")
    timeline, position, _ = await _position(questions, control)
    return Source(
        version=questions.version,
        version_text=found.version_text,
        system_id=control.system_id,
        timeline=timeline,
        position=position,
        server_time=found.server_time.astimezone(UTC),
        is_replica=found.is_replica,
        has_checksums=found.has_checksums,
        has_whole_pages=control.has_whole_pages,
        segment_bytes=found.segment_bytes,
        may_replicate=found.may_replicate,
        login=found.login,
    )


async def read_position(questions: Questions) -> LogPosition:
    """Where the server's log ends now, durably."""
    return (await _position(questions, await questions.row("backup_control")))[1]


async def read_horizon(questions: Questions) -> WriteHorizon:
    """Which transactions its rows hold; a snapshot tells it on a primary, on a replica and during recovery."""
    found = await questions.row("backup_horizon")
    return WriteHorizon(next=found.next_transaction, is_quiet=found.is_quiet)


async def _position(questions: Questions, control: object) -> tuple[int, LogPosition, datetime]:
    found = await questions.row("backup_position")
    # The control file knows a promotion only after the next checkpoint; the name of the current segment knows it at once.
    on_replica = max(getattr(control, "timeline", 1), getattr(control, "recovery_timeline", 0) or 0)
    timeline = int(found.timeline_name, 16) if found.timeline_name else on_replica
    return timeline, parse_lsn(found.position or "0/0", timeline=timeline), found.server_time.astimezone(UTC)
