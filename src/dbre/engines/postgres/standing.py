"""What a PostgreSQL server is, as far as it matters for taking over: settings, modules, archive, privileges."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from dbre.core.text import printable
from dbre.ports.succession import GivesUp, Obstacle, Standing
from dbre.ports.versions import parse_version

__all__ = ["standing_of"]

Rows = Callable[[str], Awaitable[Sequence[Any]]]

_AT_LEAST = (
    "max_connections", "max_locks_per_transaction", "max_prepared_transactions", "max_wal_senders", "max_worker_processes",
)  # fmt: skip
"""A standby stops, or does not start, where one of these is below its primary's. Source: PostgreSQL manual, 27.4.3."""

_PRIVILEGES = (
    ("may_promote", "EXECUTE ON FUNCTION pg_promote"),
    ("may_reload", "EXECUTE ON FUNCTION pg_reload_conf"),
    ("may_checkpoint", "membership in pg_checkpoint"),
    ("may_replicate", "REPLICATION"),
    ("may_redirect", "ALTER SYSTEM ON PARAMETER primary_conninfo, primary_slot_name"),
)


async def standing_of(rows: Rows) -> Standing:
    """Ask what there is to ask, and make of them what the checks compare."""
    (node,) = await rows("succession_node")
    settings = {one.name: one.setting for one in await rows("succession_settings")}
    modules = {printable(one.name, limit=100): one.version for one in await rows("succession_modules")}
    pending = {one.name: one.setting for one in await rows("succession_pending")} if node.may_read_files else {}
    version_text = printable(node.version_text.split(" ")[0], limit=50)
    return Standing(
        gives_up=GivesUp.BY_STOPPING,
        product="postgresql",
        version=parse_version(version_text),
        version_text=version_text,
        needs_login=True,
        can_hand_over=False,
        at_least={name: int(settings[name]) for name in _AT_LEAST},
        at_least_next={name: int(pending[name]) for name in _AT_LEAST if pending.get(name, "").isdigit()},
        alike={name: printable(value, limit=200) for name, value in settings.items() if name not in _AT_LEAST},
        modules={name: printable(version, limit=50) for name, version in modules.items() if version is not None},
        oldest_transaction_seconds=node.oldest_transaction_seconds,
        prepared_transactions=node.prepared_transactions,
        unflushed_bytes=node.unflushed_bytes,
        obstacles=tuple(_obstacles(node, settings, modules)),
    )


def _obstacles(node: Any, settings: Mapping[str, str], modules: Mapping[str, str | None]) -> Iterator[Obstacle]:
    missing = [words for column, words in _PRIVILEGES if not getattr(node, column)]
    yield Obstacle(
        rule="privileges",
        subject="what the login of dbre may do",
        value="lacks " + ", ".join(missing) if missing else "all that is needed",
        limit="checkpoint, promote, redirect, slots",
        source="succession_node",
        remedy="grant it: dbre engine sql postgresql --grants --user NAME says how, at the end",
        is_met=not missing,
        is_blocking=True,
    )
    absent = [name for name, version in modules.items() if version is None]
    yield Obstacle(
        rule="modules_installed",
        subject="extensions that the database uses",
        value="not installed here: " + ", ".join(absent) if absent else f"{len(modules)}, all installed here",
        limit="installed",
        source="succession_modules",
        remedy="install their packages on this machine",
        is_met=not absent,
        is_blocking=True,
    )
    if node.archive_mode != "off":
        yield Obstacle(
            rule="archive_works",
            subject="archive_command or archive_library",
            value=f"failed last at {printable(node.last_failed_wal or '')}" if node.is_archive_failing else "works",
            limit="the last one succeeded",
            source="pg_stat_archiver",
            remedy="see its log; a server that stops archives all of its log first, for as long as that takes",
            is_met=not node.is_archive_failing,
            is_blocking=True,
        )
    yield _rewindable(settings)
    yield Obstacle(
        rule="no_base_backup",
        subject="copies of the whole server that are being taken",
        value=f"{node.base_backups} now" if node.base_backups else "none",
        limit="none",
        source="pg_stat_progress_basebackup",
        remedy="wait until it is done: it would be cut off",
        is_met=not node.base_backups,
        is_blocking=not node.is_in_recovery,
    )
    if node.is_in_recovery:
        yield Obstacle(
            rule="hot_standby",
            subject="hot_standby",
            value=settings["hot_standby"],
            limit="on",
            source="pg_settings",
            remedy="set hot_standby = on, and restart it",
            is_met=settings["hot_standby"] == "on",
            is_blocking=True,
        )


def _rewindable(settings: Mapping[str, str]) -> Obstacle:
    """Source: PostgreSQL manual, pg_rewind: data checksums or wal_log_hints, and full_page_writes."""
    names = ("data_checksums", "wal_log_hints", "full_page_writes")
    checksums, hints, pages = (settings[name] == "on" for name in names)
    return Obstacle(
        rule="failback_possible",
        subject="what pg_rewind needs",
        value=", ".join(f"{name} {settings[name]}" for name in names),
        limit="data_checksums or wal_log_hints on, and full_page_writes on",
        source="pg_settings",
        remedy="set wal_log_hints = on and restart, or pg_checksums --enable: else a server that was left behind is made anew",
        is_met=(checksums or hints) and pages,
        is_blocking=False,
    )
