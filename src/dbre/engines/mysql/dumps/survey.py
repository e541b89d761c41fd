"""A server looked at before it is dumped: what the login may not see, and which tables no snapshot holds for."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dbre.core.errors import UsageError
from dbre.core.text import counted, printable, quoted
from dbre.engines.mysql.backup.programs import CLIENT, DUMP, SERVER, find_tool
from dbre.engines.mysql.backup.source import Source, ask, read_source, read_system_id
from dbre.engines.mysql.connection import Row
from dbre.ports.backup.model import Place, Problem, SourceSurvey, Tool
from dbre.ports.engine import Access

__all__ = ["DumpSource", "find_dump_tools", "problems_of", "read_dump_source", "survey_for_dump"]

_GLOBAL_GRANT = re.compile(r"GRANT (?P<words>.+?) ON \*\.\* TO ")
_EVERYTHING = {"ALL PRIVILEGES", "ALL"}
_OLD_NAMES = {"BINLOG MONITOR": "REPLICATION CLIENT"}
_NEEDED = ("SELECT", "SHOW VIEW", "TRIGGER", "EVENT")
"""On *.*: what a login may not see mariadb-dump leaves out without a word."""
_FOR_POSITION = ("BINLOG MONITOR", "RELOAD")
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpSource:
    """One server."""

    server: Source
    system_id: str
    databases: tuple[str, ...]
    bytes: int
    loose: Sequence[Row]  # tables of engines without transactions
    held: frozenset[str]  # privileges on *.*
    plugins: Sequence[Row]


async def read_dump_source(access: Access, *, chosen: tuple[str, ...] = ()) -> DumpSource:
    """Ask the server. Raises: Unreachable, Denied, Unsupported for MySQL; UsageError for a database that it lacks."""
    server = await read_source(access)
    rows, sizes, loose, grants, plugins = await ask(
        access, "dump_databases", "dump_size", "dump_not_transactional", "grants", "backup_plugins"
    )
    names = tuple(str(row["name"]) for row in rows)
    missing = sorted(set(chosen) - set(names))
    if missing:
        raise UsageError(
            f"{access.address} has no database {', '.join(quoted(one, limit=80) for one in missing)} that could be dumped",
            hint="name databases that it has, or none for all",
        )
    held: set[str] = set()
    for row in grants:
        match = _GLOBAL_GRANT.match(str(next(iter(row.values()))))
        held |= {word.strip() for word in match["words"].split(",")} if match else set()
    return DumpSource(
        server=server,
        system_id=read_system_id(server.data_directory) or f"uid-{server.server_uid}",
        databases=tuple(one for one in names if not chosen or one in chosen),
        bytes=int(sizes[0]["bytes"]),
        loose=loose,
        held=frozenset(held),
        plugins=plugins,
    )


async def survey_for_dump(access: Access, place: Place) -> SourceSurvey:
    """Look at a server; changes nothing. Raises: Unreachable, Denied, Unsupported."""
    source = await read_dump_source(access)
    server = source.server
    tools = await find_dump_tools(place, version=server.version_text)
    found = [*problems_of(source, access), *_tool_problems(tools)]
    return SourceSurvey(
        product=server.product.value,
        version=server.version,
        version_text=server.version_text,
        system_id=source.system_id,
        timeline=server.server_id,
        position=None,  # no log leads on from a dump
        server_time=server.measured_at,
        is_replica=server.is_replica,
        data_bytes=source.bytes,
        has_checksums=server.settings.get("innodb_checksum_algorithm") != "none",
        can_increment=False,
        why_no_increment="a dump reads every row",
        segment_bytes=None,
        preload=tuple(f"{row['name']} ({row['library']})" for row in source.plugins),
        settings=server.settings,
        problems=tuple(sorted(found, key=lambda one: not one.is_blocking)),
    )


async def find_dump_tools(place: Place, *, version: str | None = None) -> Sequence[Tool]:
    """Each program that dumps need, tried; the client programs may be newer than the server."""
    return [await find_tool(name, place, version=version) for name in (DUMP, CLIENT, SERVER)]


def problems_of(source: DumpSource, access: Access) -> tuple[Problem, ...]:
    """What is in the way of a dump that has everything as of one moment. Pure."""
    return (*_privileges(source, access), *_tables(source))


def _privileges(source: DumpSource, access: Access) -> Iterator[Problem]:
    if source.held & _EVERYTHING:
        return
    wanted = (*_NEEDED, *(_FOR_POSITION if source.server.has_binlog else ()))
    for one in wanted:
        if one not in source.held and _OLD_NAMES.get(one) not in source.held:
            why = "it would leave out what it may not see" if one in _NEEDED else "it could not say where the binary log was"
            yield Problem(
                rule="backup.privilege_missing",
                message=f"user {quoted(access.user or '')} lacks {one} on *.*, which mariadb-dump needs: {why}",
                hint=f"GRANT {one} ON *.* TO the user",
                is_blocking=True,
            )


def _tables(source: DumpSource) -> Iterator[Problem]:
    if source.loose:
        shown = ", ".join(
            printable(f"{row['schema_name']}.{row['table_name']} ({row['engine']})", limit=150) for row in source.loose[:_SHOWN]
        )
        more = f" and {len(source.loose) - _SHOWN} more" if len(source.loose) > _SHOWN else ""
        yield Problem(
            rule="backup.not_transactional",
            message=f"{counted(len(source.loose), 'table')} without transactions: {shown}{more}."
            " They are dumped as they are when it is their turn, not as of the moment of the dump",
            hint="ALTER TABLE ... ENGINE = InnoDB, or copy the files (provider: native)",
            is_blocking=False,
        )


def _tool_problems(tools: Sequence[Tool]) -> Iterator[Problem]:
    for tool in tools:
        if tool.problem is not None:
            yield Problem(
                rule="backup.tool_unusable",
                message=f"{tool.name}: {tool.problem}",
                hint="install MariaDB's programs of the server's series, or set bindir",
                is_blocking=tool.name == DUMP,
            )
