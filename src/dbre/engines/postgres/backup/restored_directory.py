"""What has to go from a restored data directory before a server may start in it, and what comes back when it is kept."""

import os
import re
import shutil
from pathlib import Path

from dbre.core.errors import UsageError
from dbre.core.programs.account import Account, give
from dbre.engines.postgres.backup.label import LABEL
from dbre.engines.postgres.backup.plain_files import read_plain
from dbre.engines.postgres.backup.private_files import write_private
from dbre.engines.postgres.backup.quoting import setting_line
from dbre.ports.backup.errors import CopyDamaged

__all__ = ["LEFT_OFF", "is_alive", "preloaded", "prepare", "unjail"]

_LIMIT_BYTES = 4 << 20
_AUTO, _AUTO_ASIDE = "postgresql.auto.conf", "postgresql.auto.conf.restored"
_STALE = ("postmaster.pid", "postmaster.opts", "standby.signal", "recovery.signal", "recovery.done", "promote",
          "tablespace_map", "tablespace_map.old", "backup_manifest")  # fmt: skip
_EMPTIED = ("pg_replslot", "pg_stat_tmp", "pg_notify", "pg_snapshots", "pg_dynshmem")
_OF_RECOVERY = re.compile(
    r"\s*(recovery_\w+|restore_command|archive_cleanup_command|primary_\w+|promote_trigger_file)\s*[= ]", re.IGNORECASE
)
LEFT_OFF = {
    "archive_mode": "off",  # else its log would go into the archive of the server that it is a copy of
    "synchronous_standby_names": "",  # else the first commit waits for replicas that are not its own
    "max_logical_replication_workers": "0",  # else restored subscriptions move the slots of the real publisher
}
"""What a kept server does without until somebody who knows where it stands says otherwise."""
_JOBS = {"cron.launch_active_jobs": "off"}  # of pg_cron, where it is loaded
_OF_THE_SOURCE = re.compile(
    rf"\s*(archive_command|archive_library|{'|'.join((*LEFT_OFF, *_JOBS)).replace('.', '[.]')})\s*[= ]", re.IGNORECASE
)
_WHY = """\
# dbre: this is a restored copy. What follows keeps it from the archive, the replicas, the publishers and the jobs of the
# server that it is a copy of, whatever postgresql.conf says. Take a line out (ALTER SYSTEM RESET name) and restart, once
# the setting leads to places that are this server's own. Look at port, too, where the original runs on the same machine.
"""
_PRELOAD = re.compile(r"^\s*shared_preload_libraries\s*(?:=|\s)\s*('(?:[^']|'')*'|[^#\s]+)", re.IGNORECASE | re.MULTILINE)


def prepare(directory: Path, account: Account, *, signal_file: str) -> None:
    """Take away what belongs to the server that was copied; say by a signal file that this is a recovery.

    Raises: CopyDamaged where the directory is no data directory of PostgreSQL; UsageError where a link leads out of it.
    """
    if not (directory / "PG_VERSION").is_file() or not (directory / "global" / "pg_control").is_file():
        raise CopyDamaged(f"{directory} is no data directory of PostgreSQL")
    pid = directory / "postmaster.pid"
    if pid.exists() and is_alive(pid):
        raise UsageError(f"a server runs in {directory}", hint="stop it, or restore into another directory")
    for path in (directory / "pg_wal", *(directory / "pg_tblspc").iterdir()):
        if path.is_symlink():
            raise UsageError(
                f"{path} is a link that leads out of the restored directory", hint="put the directory itself there"
            )
    for name in _STALE:
        (directory / name).unlink(missing_ok=True)
    for name in _EMPTIED:
        shutil.rmtree(directory / name, ignore_errors=True)
        _make(directory / name, account)
    for folder in ("pg_wal/archive_status", "pg_wal/summaries"):
        _make(directory / folder, account)
    if (directory / _AUTO).is_file() and not (directory / _AUTO_ASIDE).exists():
        (directory / _AUTO).rename(directory / _AUTO_ASIDE)
    (directory / _AUTO).unlink(missing_ok=True)
    write_private(directory / _AUTO, "", account)
    write_private(directory / signal_file, "", account)
    directory.chmod(0o700)
    give(directory, account)


def _make(path: Path, account: Account) -> None:
    path.mkdir(mode=0o700, exist_ok=True)
    give(path, account)


def is_alive(pid_file: Path) -> bool:
    """Whether that process is a server in this very directory: numbers are used again."""
    try:
        number, where = pid_file.read_text(errors="replace").splitlines()[:2]
        return Path(f"/proc/{int(number)}/cwd").readlink().samefile(where) and Path(where).samefile(pid_file.parent)
    except (OSError, ValueError):
        return False


def preloaded(directory: Path, library: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The libraries that the source loaded at start: those that are here, and those that are not."""
    found: tuple[str, ...] = ()
    for name in ("postgresql.conf", _AUTO_ASIDE):  # the later wins
        try:
            text = read_plain(directory / name, limit=_LIMIT_BYTES).decode(errors="replace")
        except OSError:
            continue
        for match in _PRELOAD.finditer(text):
            words = match[1].strip("'").replace("''", "'").split(",")
            found = tuple(word.strip().strip('"') for word in words if word.strip())
    there = tuple(one for one in found if re.fullmatch(r"[\w-]+", one) and (library / f"{one}.so").is_file())
    return there, tuple(one for one in found if one not in there)


def unjail(directory: Path, account: Account, *, needed: str) -> None:
    """Give the directory back as it was restored, less what would make it recover again or follow another server."""
    _give_settings_back(directory, account)
    for name in ("recovery.signal", "standby.signal", f"{LABEL}.old", "postmaster.opts"):
        (directory / name).unlink(missing_ok=True)
    if not (directory / "postgresql.conf").exists():  # as Debian does it: the source kept its settings elsewhere
        write_private(directory / "postgresql.conf", needed, account)
    if not (directory / "pg_hba.conf").exists():
        write_private(directory / "pg_hba.conf", "local all all peer\n", account)
    if not (directory / "pg_ident.conf").exists():
        write_private(directory / "pg_ident.conf", "", account)
    os.sync()


def _give_settings_back(directory: Path, account: Account) -> None:
    aside, kept = directory / _AUTO_ASIDE, ""
    if aside.is_file():
        text = read_plain(aside, limit=_LIMIT_BYTES).decode(errors="surrogateescape")
        lines = [line for line in text.splitlines(keepends=True) if not _OF_RECOVERY.match(line)]
        kept = "".join(line for line in lines if not _OF_THE_SOURCE.match(line))
    if kept and not kept.endswith("\n"):
        kept += "\n"
    if any(path.is_dir() for path in (directory / "pg_tblspc").iterdir()):
        kept += "allow_in_place_tablespaces = on\n"  # replicas of this server could not recover without
    kept += _WHY + "".join(setting_line(*one) for one in (LEFT_OFF | _JOBS).items())
    (directory / _AUTO).unlink(missing_ok=True)
    write_private(directory / _AUTO, kept.encode(errors="surrogateescape"), account)
    aside.unlink(missing_ok=True)
