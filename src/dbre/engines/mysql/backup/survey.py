"""A server is looked at before it is copied: facts, and everything that stands in the way, at once."""

import re
import shutil
from collections.abc import Iterator, Sequence

from dbre.core.errors import Denied, Unsupported
from dbre.core.programs.errors import ProgramFailed
from dbre.core.programs.run import run
from dbre.core.text import printable
from dbre.engines.mysql.backup.positions import BinlogName
from dbre.engines.mysql.backup.programs import BACKUP, find_tools
from dbre.engines.mysql.backup.source import Source, ask, ask_unless_denied, read_source, read_system_id, size_of
from dbre.engines.mysql.connection import Row
from dbre.engines.mysql.facts import COPY, STREAM
from dbre.ports.backup.model import LogPosition, Place, Problem, SourceSurvey, Tool
from dbre.ports.engine import Access

__all__ = ["NEEDED", "position_of", "require_position", "survey_source"]

NEEDED = tuple(COPY.split(", "))
"""What the login of mariadb-backup needs. Source: MariaDB, "mariadb-backup Overview", "Authentication and Privileges"."""

_GLOBAL_GRANT = re.compile(r"GRANT (?P<words>.+?) ON \*\.\* TO ")
_EVERYTHING = {"ALL PRIVILEGES", "ALL"}
_OLD_NAMES = {"BINLOG MONITOR": "REPLICATION CLIENT"}


async def survey_source(access: Access, place: Place) -> SourceSurvey:
    """Look at a server; changes nothing. Raises: Unreachable, Denied, Unsupported."""
    source = await read_source(access)
    system_id = read_system_id(source.data_directory)
    position = await position_of(access, source)
    grants, plugins = await ask(access, "grants", "backup_plugins")
    tools = await find_tools(place, version=source.version_text)
    problems = [
        *(await _file_problems(source, place, is_here=system_id is not None)),
        *_privilege_problems(access, grants),
        *_tool_problems(tools),
        *_log_problems(source),
    ]
    return SourceSurvey(
        product=source.product.value,
        version=source.version,
        version_text=source.version_text,
        system_id=system_id or f"uid-{source.server_uid}",
        timeline=source.server_id,
        position=position,
        server_time=source.measured_at,
        is_replica=source.is_replica,
        data_bytes=size_of(source.data_directory) if system_id is not None else None,
        has_checksums=source.settings.get("innodb_checksum_algorithm") != "none",
        can_increment=True,
        why_no_increment=None,
        segment_bytes=None,
        extensions=(),
        preload=tuple(f"{row['name']} ({row['library']})" for row in plugins),
        settings=source.settings,
        problems=tuple(problems),
    )


async def position_of(access: Access, source: Source) -> LogPosition | None:
    """Where the binary log ends; None where there is none, or our login may not ask."""
    if not source.has_binlog:
        return None
    rows = await ask_unless_denied(access, "backup_position")
    if not rows:
        return None
    return BinlogName.of(source.server_id, str(rows[0]["File"])).at(int(rows[0]["Position"]))


async def require_position(access: Access, source: Source) -> LogPosition:
    """Where the binary log ends. Raises: Unsupported where there is none; Denied where our login may not ask."""
    if not source.has_binlog:
        raise Unsupported(
            f"MariaDB at {access.address} has log_bin off: there is no binary log",
            hint="set log_bin and restart the server; log: {mode: none} in the policy goes without",
        )
    found = await position_of(access, source)
    if found is None:
        raise Denied(
            f"MariaDB at {access.address} does not tell user {access.user!r} where its binary log ends",
            hint="GRANT BINLOG MONITOR ON *.* TO the user",
        )
    return found


async def _file_problems(source: Source, place: Place, *, is_here: bool) -> Sequence[Problem]:
    where, account = printable(str(source.data_directory), limit=200), place.account.name
    if not is_here:
        return [
            Problem(
                rule="backup.files_not_here",
                message=f"the server's data directory {where} cannot be read on this machine",
                hint="mariadb-backup reads the server's files: run dbre on the server's machine, as the server's user",
                is_blocking=True,
            )
        ]
    try:
        test = shutil.which("test") or "/usr/bin/test"
        await run([test, "-r", source.data_directory / "ibdata1"], account=place.account, directory=place.cache)
    except ProgramFailed:
        return [
            Problem(
                rule="backup.files_not_readable",
                message=f"{account!r}, as whom programs run here, may not read the server's files in {where}",
                hint="run dbre as the user that the server runs as",
                is_blocking=True,
            )
        ]
    return []


def _privilege_problems(access: Access, grants: Sequence[Row]) -> Iterator[Problem]:
    held: set[str] = set()
    for row in grants:
        match = _GLOBAL_GRANT.match(str(next(iter(row.values()))))
        held |= {word.strip() for word in match["words"].split(",")} if match else set()
    if held & _EVERYTHING:
        return
    for wanted, is_blocking in [*((word, True) for word in NEEDED), (STREAM, False)]:
        if wanted in held or _OLD_NAMES.get(wanted) in held:
            continue
        purpose = "copies" if is_blocking else "the stream of the binary log"
        yield Problem(
            rule="backup.privilege_missing",
            message=f"user {access.user!r} lacks {wanted}, which {purpose} need",
            hint=f"GRANT {wanted} ON *.* TO the user",
            is_blocking=is_blocking,
        )


def _tool_problems(tools: Sequence[Tool]) -> Iterator[Problem]:
    for tool in tools:
        if tool.problem is not None:
            yield Problem(
                rule="backup.tool_unusable",
                message=f"{tool.name}: {tool.problem}",
                hint="install MariaDB's programs of the server's series, or set bindir",
                is_blocking=tool.name == BACKUP,
            )


def _log_problems(source: Source) -> Iterator[Problem]:
    settings = source.settings
    if not source.has_binlog:
        yield Problem(
            rule="backup.no_log",
            message="log_bin is off: only the moments of the copies themselves can be brought back",
            hint="set log_bin and restart the server",
            is_blocking=False,
        )
        return
    if settings["sync_binlog"] != "1" or settings["innodb_flush_log_at_trx_commit"] != "1":
        yield Problem(
            rule="backup.log_not_durable",
            message=f"sync_binlog is {settings['sync_binlog']} and innodb_flush_log_at_trx_commit is "
            f"{settings['innodb_flush_log_at_trx_commit']}: a crash of the machine loses commits that clients were told of",
            hint="set both to 1",
            is_blocking=False,
        )
    if settings["binlog_checksum"] == "NONE":
        yield Problem(
            rule="backup.log_unchecked",
            message="binlog_checksum is NONE: damage within an event of the binary log cannot be seen",
            hint="SET GLOBAL binlog_checksum = CRC32",
            is_blocking=False,
        )
    if source.is_replica and settings["log_slave_updates"] not in ("1", "ON"):
        yield Problem(
            rule="backup.log_incomplete",
            message="this replica does not log what it replays (log_slave_updates is off): its log cannot be replayed",
            hint="receive the log of the primary and copy there, or set log_slave_updates",
            is_blocking=False,
        )
