"""A server is looked at before it is copied: facts, and everything that stands in the way, at once."""

from collections.abc import Iterator, Sequence

from dbre.core.errors import Unsupported
from dbre.engines.redis.backup.positions import TIMELINE
from dbre.engines.redis.backup.programs import SERVER, find_tools
from dbre.engines.redis.backup.source import Source, read_source, where_log_ends
from dbre.ports.backup.model import LogPosition, Place, Problem, SourceSurvey, Tool
from dbre.ports.engine import Access

__all__ = ["survey_source"]


async def survey_source(access: Access, place: Place) -> SourceSurvey:
    """Look at a server; changes nothing. Raises: Unreachable, Denied."""
    source = await read_source(access)
    tools = await find_tools(place, version=source.version_text)
    position, problems = _position(source)
    problems += [*_tool_problems(tools), *_log_problems(source)]
    size = source.info.get("aof_current_size") if source.has_log else None
    return SourceSurvey(
        product=source.product.value,
        version=source.version,
        version_text=source.version_text,
        system_id=source.system_id,
        timeline=TIMELINE,
        position=position,
        server_time=source.measured_at,
        is_replica=source.is_replica,
        data_bytes=int(size) if size is not None else None,
        has_checksums=source.settings.get("rdbchecksum") == "yes",
        can_increment=False,
        why_no_increment="Redis has no incremental copies; its log is the append-only file",
        segment_bytes=None,
        preload=source.modules,
        settings=source.settings,
        problems=tuple(problems),
    )


def _position(source: Source) -> tuple[LogPosition | None, list[Problem]]:
    if not source.has_log:
        return None, []
    try:
        return where_log_ends(source), []
    except Unsupported as error:
        problem = Problem(rule="backup.files_not_here", message=error.message, hint=error.hint or "", is_blocking=True)
        return None, [problem]


def _tool_problems(tools: Sequence[Tool]) -> Iterator[Problem]:
    for tool in tools:
        if tool.problem is not None:
            yield Problem(
                rule="backup.tool_unusable",
                message=f"{tool.name}: {tool.problem}",
                hint="install Redis of the server's version or a later one, or set bindir",
                is_blocking=tool.name != SERVER,
            )


def _log_problems(source: Source) -> Iterator[Problem]:
    settings = source.settings
    if not source.has_log:
        yield Problem(
            rule="backup.no_log",
            message="appendonly is off, or the server older than 7.0: only the copies' own moments can be brought back",
            hint="CONFIG SET appendonly yes",
            is_blocking=False,
        )
        return
    if settings.get("aof-timestamp-enabled") != "yes":
        yield Problem(
            rule="backup.log_without_times",
            message="aof-timestamp-enabled is off: no time can be a target",
            hint="CONFIG SET aof-timestamp-enabled yes",
            is_blocking=False,
        )
    if settings.get("appendfsync") != "always":
        yield Problem(
            rule="backup.log_not_durable",
            message=f"appendfsync is {settings.get('appendfsync')}: a crash of the machine loses acknowledged writes",
            hint="CONFIG SET appendfsync always, or accept the loss of a second",
            is_blocking=False,
        )
