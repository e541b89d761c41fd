"""What stands in the way of copying a server: pure rules over what it says of itself."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

from dbre.core.text import counted, printable, quoted
from dbre.engines.postgres.backup.source import Source
from dbre.engines.postgres.backup.tablespaces import Tablespace
from dbre.engines.postgres.backup.toolbox import FIRST_INCREMENTAL
from dbre.ports.backup.model import LogPosition, Problem

__all__ = ["Examined", "problems_of", "why_no_increment"]

_NEEDED_SENDERS = 2  # one for the files, one for the log that comes with them
_HARMLESS_SUMMARY_MINUTES = 2 * 24 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What was read from one server."""

    source: Source
    settings: Mapping[str, str]
    numbers: Mapping[str, int]  # of the settings, those that are whole numbers, in their own units
    contents: Any  # the row of ``backup_contents``
    tablespaces: tuple[Tablespace, ...]
    login_rules: int | None  # lines of pg_hba.conf that let the login replicate; None: not to be read
    summaries_from: LogPosition | None = None  # where the WAL summaries begin; None: none, or not known


def why_no_increment(examined: Examined, majors: Set[int]) -> str | None:
    """Why only full copies can be taken; None where nothing forbids others."""
    source = examined.source
    if source.version[0] < FIRST_INCREMENTAL:
        return f"PostgreSQL {source.version_text} has none; they came with {FIRST_INCREMENTAL}"
    if examined.settings.get("summarize_wal") != "on":
        return "summarize_wal is off; turn it on: ALTER SYSTEM SET summarize_wal = on, then reload (no restart)"
    if not any(major >= max(FIRST_INCREMENTAL, source.version[0]) for major in majors):
        return f"no client of version {max(FIRST_INCREMENTAL, source.version[0])} or newer is installed here"
    return None


def problems_of(examined: Examined, majors: Set[int]) -> tuple[Problem, ...]:
    """All problems, those that forbid a copy first."""
    found = [*_privileges(examined), *_capacity(examined), *_programs(examined, majors), *_contents(examined), *_log(examined)]
    return tuple(sorted(found, key=lambda one: not one.is_blocking))


def _problem(rule: str, message: str, hint: str, *, is_blocking: bool = False) -> Problem:
    return Problem(rule=f"backup.{rule}", message=message, hint=hint, is_blocking=is_blocking)


def _privileges(examined: Examined) -> Iterator[Problem]:
    if not examined.source.may_replicate:
        yield _problem(
            "no_replication_privilege",
            f"role {quoted(examined.source.login)} may not replicate, and copies go over the replication protocol",
            "an administrator can allow it: ALTER ROLE ... REPLICATION, and a line for database replication in pg_hba.conf",
            is_blocking=True,
        )
    if examined.login_rules == 0:
        yield _problem(
            "no_replication_rule",
            f"no line of pg_hba.conf lets role {quoted(examined.source.login)} replicate; the word all does not include it",
            "add a line such as: hostssl replication ROLE ADDRESS scram-sha-256; then reload",
        )


def _capacity(examined: Examined) -> Iterator[Problem]:
    if examined.settings.get("wal_level") == "minimal":
        yield _problem(
            "wal_level_minimal",
            "wal_level is minimal: copies of a running server cannot be made consistent",
            "set wal_level = replica and restart the server",
            is_blocking=True,
        )
    most = examined.numbers.get("max_wal_senders", 0)
    free = most - int(examined.contents.senders)
    if free < _NEEDED_SENDERS:
        yield _problem(
            "no_free_sender",
            f"{free} of {most} WAL senders are free; a copy needs {_NEEDED_SENDERS}",
            "raise max_wal_senders (restart), or end senders that nobody needs",
            is_blocking=free < 1,
        )
    slots = examined.numbers.get("max_replication_slots", 0)
    if int(examined.contents.slots) >= slots:
        yield _problem(
            "no_free_slot",
            f"all {counted(slots, 'replication slot')} are in use; receiving the log needs one",
            "drop slots that nobody uses, or raise max_replication_slots (restart)",
        )


def _programs(examined: Examined, majors: Set[int]) -> Iterator[Problem]:
    major = examined.source.version[0]
    there = ", ".join(map(str, sorted(majors))) or "none"
    if not any(one >= major for one in majors):
        yield _problem(
            "no_client",
            f"pg_basebackup of version {major} or newer is needed; found: {there}",
            "install postgresql-client of that version",
            is_blocking=True,
        )
    elif major not in majors:
        yield _problem(
            "other_major",
            f"the server is PostgreSQL {major}; installed here: {there}. Copies work, restores here do not",
            f"install PostgreSQL {major}'s programs here, so that what is copied can be proved",
        )


def _contents(examined: Examined) -> Iterator[Problem]:
    if not examined.source.has_checksums:
        yield _problem(
            "no_checksums",
            "the cluster has no page checksums: damage that is copied stays unnoticed until somebody reads the rows",
            "turn them on with pg_checksums --enable while the server is stopped; then take a full copy",
        )
    if examined.contents.unlogged_tables:
        yield _problem(
            "unlogged_tables",
            f"{counted(int(examined.contents.unlogged_tables), 'table')} of this database are unlogged: a restore empties them",
            "nothing is to be done where that is known; else ALTER TABLE ... SET LOGGED",
        )
    outside = [one for one in examined.tablespaces if one.is_outside]
    if outside:
        names = ", ".join(printable(one.name, limit=64) for one in outside)
        yield _problem(
            "tablespaces",
            f"{counted(len(outside), 'tablespace')} outside of the data directory ({names}): restores put them inside of it",
            "after a restore, move them where they belong",
        )
    if not examined.contents.sees_all_sizes:
        yield _problem(
            "size_unknown",
            "the size of the cluster is not known in full: databases that this role may not enter are left out",
            "grant pg_monitor to the role",
        )


def _log(examined: Examined) -> Iterator[Problem]:
    if examined.source.is_replica and not examined.source.has_whole_pages:
        yield _problem(
            "replica_without_whole_pages",
            "the replica has replayed a checkpoint of a primary with full_page_writes = off: no copy of it can be made whole",
            "turn full_page_writes on at the primary (reload) and let the replica make a restart point; or copy the primary",
            is_blocking=True,
        )
    elif not examined.source.is_replica and examined.settings.get("full_page_writes") == "off":
        yield _problem(
            "no_full_page_writes",
            "full_page_writes is off: after a crash of the machine, half-written pages stay damaged",
            "turn it on (reload), unless the file system writes whole pages",
        )
    if examined.contents.failing:
        yield _problem(
            "archiver_fails",
            "archive_command fails: copies wait for it, and the disk fills",  # how often, would make another plan of each look
            "see the server's log, and mend the command",
        )
    keep = examined.numbers.get("wal_summary_keep_time")
    if examined.settings.get("summarize_wal") == "on" and keep is not None and 0 < keep < _HARMLESS_SUMMARY_MINUTES:
        yield _problem(
            "short_summaries",
            f"wal_summary_keep_time is {keep} min: an incremental copy fails when its parent is older",
            "raise it to more than the time between two copies (reload)",
        )
    if examined.settings.get("max_slot_wal_keep_size") in ("-1", "-1MB"):
        yield _problem(
            "unlimited_slots",
            "max_slot_wal_keep_size is not limited: a slot that nobody reads fills the disk of the primary",
            "set it to what the disk can spare (reload)",
        )
