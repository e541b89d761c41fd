"""A server looked at before it is dumped, with everything at once that stands in the way. The rules are pure."""

from collections.abc import Iterator, Sequence

from dbre.core.programs.errors import BinariesMissing
from dbre.core.text import counted, printable, quoted
from dbre.engines.postgres.backup.toolbox import Toolbox
from dbre.engines.postgres.dumps.source import Database, DumpSource, read_dump_source
from dbre.ports.backup.model import Problem, SourceSurvey
from dbre.ports.engine import Access

__all__ = ["blocking_of", "problems_of", "survey_for_dump"]

_SHOWN = 5


async def survey_for_dump(toolbox: Toolbox, access: Access) -> SourceSurvey:
    """Ask the server; nothing is changed. Raises: Unreachable, Denied, Unsupported."""
    source = await read_dump_source(access, what="backup")
    server = source.server
    sizes = [one.bytes for one in source.databases]
    problems = [*problems_of(source), *await _programs(toolbox, server.version[0])]
    return SourceSurvey(
        product="postgresql",
        version=server.version,
        version_text=server.version_text,
        system_id=server.system_id,
        timeline=server.timeline,
        position=None,  # no log leads on from a dump
        server_time=server.server_time,
        is_replica=server.is_replica,
        data_bytes=None if None in sizes else sum(one or 0 for one in sizes),
        has_checksums=server.has_checksums,
        can_increment=False,
        why_no_increment="a dump reads every row",
        segment_bytes=None,
        extensions=tuple(sorted({printable(one, limit=200) for base in source.databases for one in base.extensions})),
        preload=source.preload,
        problems=tuple(sorted(problems, key=lambda one: not one.is_blocking)),
    )


def problems_of(source: DumpSource) -> tuple[Problem, ...]:
    """What is in the way of a dump that has everything, and what a dump cannot bring back."""
    found = [problem for one in source.databases for problem in _of_database(one, source)]
    if not source.login.may_read_passwords:
        found.append(
            _problem(
                "dump_without_passwords",
                f"role {quoted(source.server.login)} may not read pg_authid: roles are dumped without passwords",
                "after a restore every role needs a new password; or dump as a superuser",
            )
        )
    if source.tablespaces:
        names = ", ".join(printable(one, limit=64) for one in source.tablespaces[:_SHOWN])
        found.append(
            _problem(
                "tablespaces",
                f"{counted(len(source.tablespaces), 'tablespace')} ({names}) are not dumped: all is restored into pg_default",
                "after a restore, make them anew and move what belongs there",
            )
        )
    return tuple(sorted(found, key=lambda one: not one.is_blocking))


def blocking_of(source: DumpSource) -> str | None:
    """All that forbids a dump, in one sentence; None: nothing."""
    found = [one.message for one in problems_of(source) if one.is_blocking]
    return "; ".join(found) if found else None


def _problem(rule: str, message: str, hint: str, *, is_blocking: bool = False) -> Problem:
    return Problem(rule=f"backup.{rule}", message=message, hint=hint, is_blocking=is_blocking)


def _of_database(one: Database, source: DumpSource) -> Iterator[Problem]:
    name, login = quoted(one.name, limit=80), quoted(source.server.login)
    if one.contents is None:
        yield _problem(
            "database_closed",
            f"role {login} may not connect to database {name}",
            "GRANT CONNECT ON DATABASE ... TO the role",
            is_blocking=True,
        )
        return
    if one.contents.unreadable:
        yield _problem(
            "rows_unreadable",
            f"role {login} may not read {_named(one.contents.unreadable)} of database {name}",
            "GRANT pg_read_all_data TO the role",
            is_blocking=True,
        )
    if one.contents.filtered:
        yield _problem(
            "rows_filtered",
            f"row security hides rows of {_named(one.contents.filtered)} of database {name} from role {login}:"
            " pg_dump refuses such tables rather than leave rows out",
            "ALTER ROLE ... BYPASSRLS",
            is_blocking=True,
        )
    if one.contents.closed_large_objects and not source.login.is_superuser:
        yield _problem(
            "large_objects_closed",
            f"role {login} may not read {counted(int(one.contents.closed_large_objects), 'large object')} of database {name}:"
            " pg_read_all_data does not hold for them",
            "dump as a superuser or as their owner, or GRANT SELECT ON LARGE OBJECT",
            is_blocking=True,
        )
    if one.contents.large_objects:
        yield _problem(
            "large_objects",
            f"database {name} has {counted(int(one.contents.large_objects), 'large object')}: slow to dump and to load",
            "nothing is to be done; copies of files (provider: native) do not mind them",
        )


def _named(names: Sequence[str]) -> str:
    more = f" and {'more than ' if len(names) > 100 else ''}{len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(printable(one, limit=120) for one in names[:_SHOWN]) + more


async def _programs(toolbox: Toolbox, major: int) -> Sequence[Problem]:
    try:
        client = await toolbox.client(major, wants_tls=False)
    except BinariesMissing as error:
        return [_problem("no_client", error.message, error.hint or "install postgresql-client", is_blocking=True)]
    if client.binaries.version != major:
        return [
            _problem(
                "other_major",
                f"the server is PostgreSQL {major}, and the oldest pg_dump here that reads it is {client.binaries.version}'s:"
                f" the dump can be loaded into PostgreSQL {client.binaries.version} and newer only",
                f"install PostgreSQL {major}'s client programs here",
            )
        ]
    return []
