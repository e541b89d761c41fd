"""The log as another process sees it, and how far the store is."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.slo.ingest.intake import SOURCE
from dbre.capabilities.slo.ingest.latency_store import SOURCE as LATENCY_SOURCE
from dbre.capabilities.slo.ingest.wal.disk import QUARANTINE, free_bytes, read_segment, segments
from dbre.capabilities.slo.tables import slo_source_marks

__all__ = ["LogStatus", "Marks", "log_status", "marks_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogStatus:
    """What lies in the directory of the log; None where there is none."""

    segments: int = 0
    size_bytes: int = 0
    free_bytes: int | None = None
    quarantined: int = 0
    newest_record: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """The newest record that the store has: of the counts, and of the histograms."""

    counted: int | None
    latencies: int | None
    counted_at: datetime | None


def log_status(directory: Path) -> LogStatus:
    """Look at the files; nothing is changed, and no lock is taken."""
    if not directory.is_dir():
        return LogStatus()
    found = segments(directory)
    newest = None
    for path in reversed(found):
        if frames := read_segment(path).frames:
            newest = frames[-1].number
            break
    quarantine = directory / QUARANTINE
    return LogStatus(
        segments=len(found),
        size_bytes=sum(path.stat().st_size for path in found),
        free_bytes=free_bytes(directory),
        quarantined=len(segments(quarantine)) if quarantine.is_dir() else 0,
        newest_record=newest,
    )


async def marks_of(connection: AsyncConnection) -> Marks:
    """How far the store is."""
    rows = {row.source: row for row in await connection.execute(select(slo_source_marks))}

    def number(source: str) -> int | None:
        return int(rows[source].position.rpartition(":")[2]) if source in rows else None

    counted = rows.get(SOURCE)
    return Marks(
        counted=number(SOURCE), latencies=number(LATENCY_SOURCE), counted_at=counted.marked_at if counted is not None else None
    )
