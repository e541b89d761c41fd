"""Dumps by mariadb-dump: every database as of one moment, users and their grants beside them."""

import asyncio
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from dbre.core.errors import Unsupported, UsageError
from dbre.core.programs.account import give
from dbre.core.programs.confined import dies_with_us
from dbre.core.programs.errors import ProgramFailed
from dbre.core.programs.run import run, spawn
from dbre.core.text import one_line
from dbre.engines.mysql.backup.copying import KEPT_SETTINGS
from dbre.engines.mysql.backup.option_file import login_file
from dbre.engines.mysql.backup.programs import DUMP, find_tool, require_tool
from dbre.engines.mysql.backup.source import as_utc, ask, size_of
from dbre.engines.mysql.dumps.survey import DumpSource, problems_of, read_dump_source
from dbre.ports.backup.engine import CopyProgress
from dbre.ports.backup.errors import CopyDamaged, CopyFailed
from dbre.ports.backup.model import ChecksumState, CopyFacts, CopyKind, CopyOrder, Place
from dbre.ports.engine import Access
from dbre.ports.file_manifest import MANIFEST_NAME, FileManifest, read_file_manifest, write_file_manifest

__all__ = ["DATA", "DUMP_ENGINE", "USERS", "dump_facts", "dump_server", "read_dump"]

DUMP_ENGINE = "mysql"
DATA, USERS = "data.sql", "users.sql"
_DUMP_SECONDS = 7 * 86_400.0
_POLL_SECONDS = 1.0
_TAIL_BYTES, _HEAD_BYTES = 4096, 1 << 20
_ENDED = re.compile(rb"-- Dump completed", re.IGNORECASE)
_POSITION = re.compile(rb"-- CHANGE MASTER TO MASTER_LOG_FILE='([^']+)', MASTER_LOG_POS=(\d+)")
_UNKNOWN_USER = re.compile(r"'SHOW CREATE USER (.+)': .* \(1133\)")
_UNKNOWN_GRANT = re.compile(r"'SHOW GRANTS FOR .+': .* \(1141\)")
_GTID = re.compile(rb"-- SET GLOBAL gtid_slave_pos='([^']*)'")


async def dump_server(access: Access, order: CopyOrder, progress: CopyProgress, *, place: Place) -> CopyFacts:
    """Dump into an empty directory, and list every file of it.

    Raises: CopyFailed, Unsupported, UsageError, Unreachable, Denied, BinariesMissing.
    """
    if order.kind is not CopyKind.LOGICAL:
        raise Unsupported(f"MariaDB is not dumped as {order.kind}", hint="provider: native makes copies of other kinds")
    if not order.directory.is_dir() or any(order.directory.iterdir()):
        raise UsageError(f"{order.directory} must be an empty directory", hint="each copy gets a new directory of its own")
    source = await read_dump_source(access, chosen=order.databases)
    forbidden = [one.message for one in problems_of(source, access) if one.is_blocking]
    if forbidden:
        raise CopyFailed(f"a dump of {access.address} would not be whole: {'; '.join(forbidden)}", hint="dbre backup check")
    program = await require_tool(DUMP, place, version=source.server.version_text)
    tool = await find_tool(DUMP, place)
    with login_file(access, place.account) as login:
        words = [*await dies_with_us(place.account), program, f"--defaults-file={login}", "--default-character-set=utf8mb4"]
        data, users = order.directory / DATA, order.directory / USERS
        if source.databases:
            await _run([*words, *_data_options(source), f"--result-file={data}", "--databases", "--", *source.databases],
                       order.directory, place, progress, source.bytes)  # fmt: skip
            await asyncio.to_thread(_require_whole, data)
        left_out = await _dump_users([*words, "--system=users", "--replace", "--force", f"--result-file={users}"], order, place)
    ((clock,),) = await ask(access, "backup_clock")
    facts = await asyncio.to_thread(_facts, source, order, as_utc(clock["measured_at"]), f"{DUMP} {tool.version}", access)
    facts["warnings"] += left_out
    await asyncio.to_thread(write_file_manifest, order.directory, engine=DUMP_ENGINE, facts=facts)
    give(order.directory / MANIFEST_NAME, place.account)
    return await asyncio.to_thread(dump_facts, order.directory)


def read_dump(directory: Path) -> FileManifest:
    """The manifest of a dump. Raises: CopyDamaged where there is none, or it is of something else."""
    manifest = read_file_manifest(directory / MANIFEST_NAME, engine=DUMP_ENGINE)
    if manifest.facts.get("kind") != CopyKind.LOGICAL.value:
        raise CopyDamaged(f"{directory} holds a copy that is no dump", hint="choose another set")
    return manifest


def dump_facts(directory: Path) -> CopyFacts:
    """What a dump says of itself. Raises: CopyDamaged."""
    manifest = read_dump(directory)
    facts: Mapping[str, Any] = manifest.facts
    try:
        return CopyFacts(
            kind=CopyKind.LOGICAL,
            system_id=str(facts["system_id"]),
            start=None,
            stop=None,
            started_at=datetime.fromisoformat(facts["started_at"]),
            stopped_at=datetime.fromisoformat(facts["stopped_at"]),
            bytes=sum(entry.size for entry in manifest.files),
            files=len(manifest.files),
            manifest=directory / MANIFEST_NAME,
            checksums=ChecksumState.UNCHECKED,  # rows were read, but not every page
            tool=str(facts["tool"]),
            product=str(facts["product"]),
            version_text=str(facts["version_text"]),
            warnings=tuple(map(str, facts["warnings"])),
            details={"databases": list(facts["databases"]), "binlog": facts["binlog"], "gtid": facts["gtid"]},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CopyDamaged(f"{directory}: the manifest of the dump lacks {error}", hint="choose another set") from error


def _data_options(source: DumpSource) -> list[str]:
    """One snapshot of all; what a text could not hold is written in hexadecimal digits."""
    words = ["--single-transaction", "--quick", "--routines", "--triggers", "--events", "--hex-blob"]
    words += ["--max-allowed-packet=1G", "--skip-lock-tables"]
    return [*words, "--master-data=2"] if source.server.has_binlog else words


async def _run(words: list[str], directory: Path, place: Place, progress: CopyProgress, expected: int | None) -> None:
    copying = run(words, account=place.account, directory=directory, timeout_seconds=_DUMP_SECONDS, program=DUMP)
    running = asyncio.create_task(copying)
    try:
        while not (await asyncio.wait({running}, timeout=_POLL_SECONDS))[0]:
            await progress(await asyncio.to_thread(size_of, directory), expected)
        await running
    except ProgramFailed as error:
        raise CopyFailed(
            error.message, hint="see what it says; the login's privileges: dbre backup check", context=error.context
        ) from error
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _dump_users(words: list[str], order: CopyOrder, place: Place) -> list[str]:
    """Dump users and grants; gives sentences about those that the server itself does not know.

    Users with host names cannot log in under skip_name_resolve, and the server denies that they exist.

    Raises: CopyFailed for every other complaint.
    """
    said: list[str] = []
    async with spawn(words, account=place.account, directory=order.directory, on_line=said.append, program=DUMP) as child:
        status = await child.wait()
    left_out = [match[1] for line in said if (match := _UNKNOWN_USER.search(line)) is not None]
    others = [line for line in said if not _UNKNOWN_USER.search(line) and not _UNKNOWN_GRANT.search(line)]
    if others or (status != 0 and not left_out):
        error = child.failure(status)
        raise CopyFailed(f"users cannot be dumped: {error.message}", hint="dbre backup check", context=error.context)
    proxies = await asyncio.to_thread(_forget, order.directory / USERS, left_out)
    names = [one_line(one, limit=120) for one in left_out]
    return [*(f"user {one} is not dumped: its host is a name, and the server resolves none" for one in names), *proxies]


def _forget(path: Path, users: list[str]) -> list[str]:
    """Take out what would end the load: words on users that are left out, and proxies. Gives the proxies, as sentences.

    Only who is a proxy himself, and may pass it on, can grant it: the login that loads the dump is not.
    """
    ends = tuple(f"SET DEFAULT ROLE NONE FOR {one} */".encode() for one in users)
    kept, proxies = [], []
    for line in path.read_bytes().splitlines(keepends=True):
        words = line.rstrip(b";\r\n ")
        if words.startswith(b"GRANT PROXY "):
            proxies.append(f"not dumped: {one_line(words.decode(errors='replace'), limit=200)}")
        elif not (ends and words.endswith(ends)):
            kept.append(line)
    with path.open("wb") as file:  # the same file, which is the account's
        file.write(b"".join(kept))
    return proxies


def _require_whole(path: Path) -> None:
    """The last line says so; a file that was cut off has none."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        if not _ENDED.search(file.read()):
            raise CopyFailed("mariadb-dump ended with 0, but what it wrote does not say that it is complete")


def _facts(source: DumpSource, order: CopyOrder, stopped_at: datetime, tool: str, access: Access) -> dict[str, Any]:
    server, warnings = source.server, [one.message for one in problems_of(source, access)]
    if order.bytes_per_second:
        warnings.append("mariadb-dump cannot be limited to a number of bytes a second")
    head = b""
    if source.databases:
        with (order.directory / DATA).open("rb") as file:
            head = file.read(_HEAD_BYTES)
    position, gtid = _POSITION.search(head), _GTID.search(head)
    if server.has_binlog and source.databases and position is None:
        warnings.append("the dump does not say where the binary log was")
    return {
        "kind": CopyKind.LOGICAL.value,
        "set_id": order.set_id,
        "system_id": source.system_id,
        "server_id": server.server_id,
        "product": server.product.value,
        "version_text": server.version_text,
        "started_at": server.measured_at.isoformat(),
        "stopped_at": stopped_at.isoformat(),
        "tool": tool,
        "databases": list(source.databases),
        "binlog": [position[1].decode(errors="replace"), int(position[2])] if position else None,
        "gtid": gtid[1].decode(errors="replace") if gtid else None,
        "settings": {name: server.settings[name] for name in KEPT_SETTINGS},
        "warnings": warnings,
    }
