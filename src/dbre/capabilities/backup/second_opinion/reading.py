"""Reads every log file of a repository that recovery would need, and checks every record: what listings cannot tell."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.log.position_text import text_like
from dbre.capabilities.backup.model import Catalog, StoredLog
from dbre.core.errors import DbreError, Unsupported
from dbre.core.programs.account import give
from dbre.core.programs.scratch import scratch_directory
from dbre.ports.backup.engine import BackupPort
from dbre.ports.backup.model import CopyFault, LogKind, LogPosition, Verified
from dbre.ports.backup.repository import ForeignRepository

__all__ = ["OneServer", "read_log"]

_BATCH = 16
"""So many files lie in the staging directory at a time: a repository may hold far more log than this machine has room."""


class OneServer:
    """A ``LogFetch`` of the log of one server, for repositories that hold the log of several."""

    def __init__(self, repository: ForeignRepository, system_id: str) -> None:
        self._repository = repository
        self._system_id = system_id

    async def fetch(self, name: str, into: Path) -> bool:
        """One log file; False only where its absence is certain."""
        return await self._repository.fetch(name, into, system_id=self._system_id)


async def read_log(ground: BackupGround, repository: ForeignRepository, catalog: Catalog) -> Verified:
    """Fetch every segment behind the oldest set of each server and check its records; damage is a fault, never an error."""
    began = time.monotonic()
    port = ground.engines.get(repository.engine).backups(ground.place)
    files, size, faults = 0, 0, []
    for run in _runs(catalog):
        fetch = OneServer(repository, run[0].system_id)
        for batch in _batches(run):
            with scratch_directory(ground.place.account) as directory:
                read, bytes_read, found = await _read(port, fetch, batch, directory, _like(catalog), ground)
            files, size = files + read, size + bytes_read
            faults += [one for one in found if one not in faults]
    return Verified(files=files, bytes=size, seconds=time.monotonic() - began, faults=tuple(faults))


async def _read(
    port: BackupPort, fetch: OneServer, batch: Sequence[StoredLog], directory: Path, like: LogPosition, ground: BackupGround
) -> tuple[int, int, list[CopyFault]]:
    paths, faults, size = [], [], 0
    for one in batch:
        path = directory / one.file.name
        try:
            if not await fetch.fetch(one.file.name, path):
                faults.append(CopyFault(rule="missing_file", subject=one.file.name, detail="it was listed, and is not there"))
                continue
        except DbreError as error:
            faults.append(CopyFault(rule="log_damaged", subject=one.file.name, detail=error.message))
            continue
        await asyncio.to_thread(give, path, ground.place.account)
        size += (await asyncio.to_thread(path.stat)).st_size
        paths.append((one, path))
    for run in _unbroken(paths):
        first, last = run[0][0].file, run[-1][0].file
        start = LogPosition(first.timeline, first.start, text_like(like.text, first.start))
        end = LogPosition(last.timeline, last.end, text_like(like.text, last.end))
        try:
            faults += (await port.scan_log([path for _, path in run], start=start, end=end)).faults
        except Unsupported as error:  # that nobody could look is not that nothing is wrong
            faults.append(CopyFault(rule="not_scanned", subject=f"{first.name} and on", detail=error.message))
    return len(paths), size, faults


def _like(catalog: Catalog) -> LogPosition:
    return next(one.start for one in catalog.sets if one.start is not None)


def _runs(catalog: Catalog) -> Iterator[list[StoredLog]]:
    """Segments of one server and timeline that follow each other, from the oldest set on."""
    for system_id in sorted({one.system_id for one in catalog.sets}):
        starts = [one.start.value for one in catalog.sets if one.start is not None and one.system_id == system_id]
        segments = [
            one
            for one in catalog.logs
            if one.system_id == system_id and one.file.kind is LogKind.SEGMENT and one.file.end > min(starts, default=0)
        ]
        yield from (run for run in _split(sorted(segments, key=lambda one: (one.file.timeline, one.file.start))) if starts)


def _split(segments: Sequence[StoredLog]) -> Iterator[list[StoredLog]]:
    run: list[StoredLog] = []
    for one in segments:
        if run and (one.file.timeline != run[-1].file.timeline or one.file.start != run[-1].file.end):
            yield run
            run = []
        run.append(one)
    if run:
        yield run


def _unbroken(paths: Sequence[tuple[StoredLog, Path]]) -> Iterator[list[tuple[StoredLog, Path]]]:
    by_file = {id(one): path for one, path in paths}
    yield from ([(one, by_file[id(one)]) for one in run] for run in _split([one for one, _ in paths]))


def _batches(run: Sequence[StoredLog]) -> Iterator[Sequence[StoredLog]]:
    """The last file of a batch is the first of the next one: a record may begin in one file and end in another."""
    for number in range(0, max(len(run) - 1, 1), _BATCH - 1):
        yield run[number : number + _BATCH]
