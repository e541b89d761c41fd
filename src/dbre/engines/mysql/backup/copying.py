"""Full and incremental copies by mariadb-backup, and what they say of themselves."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from dbre.core.errors import Conflict, Unsupported
from dbre.core.programs.account import give
from dbre.core.programs.confined import dies_with_us
from dbre.core.programs.errors import ProgramFailed
from dbre.core.programs.run import run
from dbre.engines.mysql.backup.copy_notes import CopyNotes, read_notes
from dbre.engines.mysql.backup.option_file import login_file
from dbre.engines.mysql.backup.programs import BACKUP, require_tool
from dbre.engines.mysql.backup.source import Source, as_utc, ask, read_source, read_system_id, size_of
from dbre.ports.backup.engine import CopyProgress
from dbre.ports.backup.errors import CopyDamaged, CopyFailed
from dbre.ports.backup.model import ChecksumState, CopyFacts, CopyKind, CopyOrder, LogPosition, ParentCopy, Place
from dbre.ports.engine import Access
from dbre.ports.file_manifest import MANIFEST_NAME, FileManifest, read_file_manifest, write_file_manifest

__all__ = ["ENGINE", "KEPT_SETTINGS", "copy_facts", "copy_server", "take_copy"]

ENGINE = "mysql"
KEPT_SETTINGS = ("character_set_server", "collation_server", "lower_case_table_names")
"""What a server that is started from the copy must have in common with its source."""

_KINDS = (CopyKind.FULL, CopyKind.INCREMENTAL, CopyKind.DIFFERENTIAL)
_COPY_SECONDS = 7 * 86_400.0
_PROGRESS_SECONDS = 1.0
_UNIT_BYTES = 10 * 2**20  # --throttle counts reads of this size, one a second at least
_DONE = "completed OK!"
_VERIFIER = re.compile(r"(IDENTIFIED) [^\n]*")


async def copy_server(access: Access, order: CopyOrder, progress: CopyProgress, *, place: Place) -> CopyFacts:
    """Copy the server's files, then write the manifest over what is there.

    Raises: Unreachable, Denied, Unsupported; BinariesMissing, CopyFailed, Conflict.
    """
    if order.kind not in _KINDS:
        raise Unsupported(f"MariaDB has no {order.kind} copies of files", hint=f"there are {', '.join(_KINDS)}")
    source = await read_source(access)
    system_id = read_system_id(source.data_directory)
    if system_id is None:
        raise Unsupported(
            f"MariaDB at {access.address}: its data directory cannot be read on this machine",
            hint="mariadb-backup reads the server's files: run dbre on the server's machine, as the server's user",
        )
    base = None if order.kind is CopyKind.FULL else await asyncio.to_thread(_parent_lsn, order.parent, source, system_id)
    throttle = [f"--throttle={_throttle(order.bytes_per_second)}"] if order.bytes_per_second else []
    notes = await take_copy(access, source, order.directory, progress, place=place, base=base, more=throttle)
    ((clock,),) = await ask(access, "backup_clock")
    facts = _facts(source, notes, order, system_id, as_utc(clock["measured_at"]))
    manifest = await asyncio.to_thread(write_file_manifest, order.directory, engine=ENGINE, facts=facts)
    give(order.directory / MANIFEST_NAME, place.account)
    return _as_facts(order.directory, manifest, notes)


async def take_copy(
    access: Access,
    source: Source,
    directory: Path,
    progress: CopyProgress,
    *,
    place: Place,
    base: int | None = None,
    more: Sequence[str] = (),
) -> CopyNotes:
    """Let mariadb-backup copy a server's files into a directory, from LSN ``base`` on. Raises: BinariesMissing, CopyFailed."""
    program = await require_tool(BACKUP, place, version=source.version_text)
    with login_file(access, place.account) as login:
        words: list[str | Path] = [*await dies_with_us(place.account), program]
        words += [f"--defaults-file={login}", "--backup", f"--target-dir={directory}", f"--datadir={source.data_directory}"]
        words += [f"--incremental-lsn={base}"] if base is not None else []
        expected = None if base else size_of(source.data_directory)
        said = await _run([*words, *more], directory, place, progress, expected=expected)
    notes = await asyncio.to_thread(read_notes, directory)
    if _DONE not in said or notes.is_incremental != (base is not None) or notes.from_lsn != (base or 0):
        raise CopyFailed("mariadb-backup ended with 0, but what it left is not the copy that was asked for")
    return notes


def copy_facts(directory: Path) -> CopyFacts:
    """What a copy says of itself. Raises: CopyDamaged where it is none, or its notes and its manifest contradict each other."""
    return _as_facts(directory, read_file_manifest(directory / MANIFEST_NAME, engine=ENGINE), read_notes(directory))


async def _run(words: list[str | Path], directory: Path, place: Place, progress: CopyProgress, *, expected: int | None) -> str:
    running = asyncio.create_task(
        run(words, account=place.account, directory=directory, timeout_seconds=_COPY_SECONDS, program=BACKUP)
    )
    telling = asyncio.create_task(_tell(directory, progress, expected))
    try:
        await asyncio.wait((running, telling), return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            await telling  # it never ends by itself: whoever watches wants the copy to end
        return (await running).stderr
    except ProgramFailed as error:
        # Not chained: it quotes the login's grants, with the hash of its password.
        hint = "see what it says; the login's privileges: dbre backup check"
        raise CopyFailed(_VERIFIER.sub(r"\1 ***", error.message), hint=hint, context=error.context) from None
    finally:
        running.cancel()
        telling.cancel()
        await asyncio.gather(running, telling, return_exceptions=True)


async def _tell(directory: Path, progress: CopyProgress, expected: int | None) -> None:
    while True:
        await asyncio.sleep(_PROGRESS_SECONDS)
        await progress(await asyncio.to_thread(size_of, directory), expected)


def _throttle(bytes_per_second: int) -> int:
    return max(1, bytes_per_second // _UNIT_BYTES)


def _parent_lsn(parent: ParentCopy | None, source: Source, system_id: str) -> int:
    if parent is None:
        raise Conflict("an incremental copy needs a parent", hint="take a full copy")
    facts = read_file_manifest(parent.manifest, engine=ENGINE).facts
    if (facts["system_id"], facts["server_id"]) != (system_id, source.server_id):
        raise Conflict(
            f"set {parent.set_id} is of server {facts['server_id']} with the data {facts['system_id']}, "
            f"and this is server {source.server_id} with {system_id}",
            hint="take a full copy: LSNs of different servers cannot be compared",
        )
    return int(facts["to_lsn"])


def _facts(source: Source, notes: CopyNotes, order: CopyOrder, system_id: str, stopped_at: datetime) -> dict[str, Any]:
    warnings = []
    if order.bytes_per_second and order.bytes_per_second < _UNIT_BYTES:
        warnings.append(f"mariadb-backup cannot be limited to less than {_UNIT_BYTES} bytes a second")
    return {
        "kind": order.kind.value,
        "set_id": order.set_id,
        "system_id": system_id,
        "server_id": source.server_id,
        "version_text": source.version_text,
        "product": source.product.value,
        "started_at": source.measured_at.isoformat(),
        "stopped_at": stopped_at.isoformat(),
        "from_lsn": notes.from_lsn,
        "to_lsn": notes.to_lsn,
        "binlog": list(notes.binlog) if notes.binlog else None,
        "settings": {name: source.settings[name] for name in KEPT_SETTINGS},
        "checksums": _checksums(source).value,
        "warnings": warnings,
    }


def _checksums(source: Source) -> ChecksumState:
    """mariadb-backup reads each InnoDB page until its checksum is right, and fails where it never is."""
    return ChecksumState.OFF if source.settings.get("innodb_checksum_algorithm") == "none" else ChecksumState.GOOD


def _as_facts(directory: Path, manifest: FileManifest, notes: CopyNotes) -> CopyFacts:
    facts: Mapping[str, Any] = manifest.facts
    noted = list(notes.binlog) if notes.binlog else None
    if (facts["from_lsn"], facts["to_lsn"], facts["binlog"]) != (notes.from_lsn, notes.to_lsn, noted):
        raise CopyDamaged(f"{directory}: the manifest and the notes of mariadb-backup contradict each other")
    found = notes.position(int(facts["server_id"]))
    position: LogPosition | None = found and found[0].at(found[1])
    return CopyFacts(
        kind=CopyKind(facts["kind"]),
        system_id=str(facts["system_id"]),
        start=position,
        stop=position,
        started_at=datetime.fromisoformat(facts["started_at"]),
        stopped_at=datetime.fromisoformat(facts["stopped_at"]),
        bytes=sum(entry.size for entry in manifest.files),
        files=len(manifest.files),
        manifest=directory / MANIFEST_NAME,
        checksums=ChecksumState(facts["checksums"]),
        tool=f"{BACKUP} {notes.tool_version}",
        product=str(facts["product"]),
        version_text=str(facts["version_text"]),
        warnings=tuple(facts["warnings"]),
        details={"from_lsn": notes.from_lsn, "to_lsn": notes.to_lsn, "gtid": notes.binlog[2] if notes.binlog else None},
    )
