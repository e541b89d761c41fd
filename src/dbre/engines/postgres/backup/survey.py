"""A server looked at before it is copied, with everything at once that stands in the way."""

from dbre.core.text import printable
from dbre.engines.postgres.backup.asking import Questions, ask
from dbre.engines.postgres.backup.log_names import parse_lsn
from dbre.engines.postgres.backup.prechecks import Examined, problems_of, why_no_increment
from dbre.engines.postgres.backup.source import Source, read_source
from dbre.engines.postgres.backup.tablespaces import read_tablespaces
from dbre.engines.postgres.backup.toolbox import Toolbox
from dbre.ports.backup.model import LogPosition, SourceSurvey
from dbre.ports.engine import Access

__all__ = ["survey"]


async def survey(toolbox: Toolbox, access: Access) -> SourceSurvey:
    """Ask the server; nothing is changed. Raises: Unreachable, Denied, Unsupported."""
    examined = await ask(access, _examine, what="backup")
    source, settings = examined.source, examined.settings
    majors = frozenset([one.version for one in await toolbox.installed()])
    without = why_no_increment(examined, majors)
    preload = settings.get("shared_preload_libraries", "")
    return SourceSurvey(
        product="postgresql",
        version=source.version,
        version_text=source.version_text,
        system_id=source.system_id,
        timeline=source.timeline,
        position=source.position,
        server_time=source.server_time,
        is_replica=source.is_replica,
        data_bytes=examined.contents.data_bytes,
        has_checksums=source.has_checksums,
        can_increment=without is None,
        why_no_increment=without,
        increments_from=examined.summaries_from,
        segment_bytes=source.segment_bytes,
        extensions=tuple(printable(one, limit=200) for one in examined.contents.extensions or ()),
        preload=tuple(word.strip() for word in preload.split(",") if word.strip()),
        tablespaces={one.id: one.location for one in examined.tablespaces if one.is_outside},
        settings=settings,
        problems=problems_of(examined, majors),
    )


async def _examine(questions: Questions) -> Examined:
    rows = await questions.rows("backup_settings")
    source, contents = await read_source(questions), await questions.row("backup_contents")
    settings = {row.name: f"{row.setting}{row.unit or ''}" for row in rows}
    return Examined(
        source=source,
        settings=settings,
        numbers={row.name: int(row.setting) for row in rows if row.setting.lstrip("-").isdigit()},
        contents=contents,
        tablespaces=await read_tablespaces(questions),
        login_rules=(await questions.row("backup_login_rules")).allowing if contents.may_read_rules else None,
        summaries_from=await _summaries(questions, source) if settings.get("summarize_wal") == "on" else None,
    )


async def _summaries(questions: Questions, source: Source) -> LogPosition | None:
    begins = (await questions.row("backup_summaries")).begins
    return None if begins is None else parse_lsn(begins, timeline=source.timeline)
