"""Files in a data directory that are the server's own: its settings, who may log in, its certificates.

``pg_rewind`` and a copy bring those of the primary instead, with its port and its name.
"""

import os
import shutil
from pathlib import Path

from dbre.core.programs.account import Account, give
from dbre.core.programs.syncing import sync_directory

__all__ = ["put_back", "save"]

_LARGEST_BYTES = 1 << 20
_NOT_OWN = {
    "PG_VERSION", "backup_label", "backup_label.old", "backup_manifest", "current_logfiles", "postmaster.pid", "promote",
    "recovery.done", "recovery.signal", "standby.signal", "startup.log", "tablespace_map", "tablespace_map.old",
}  # fmt: skip
_FOLDER = "conf.d"


def save(data: Path, target: Path, account: Account) -> None:
    """Copy them, whole or not at all; what was saved before stays as it is."""
    if target.is_dir():
        return
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    give(partial, account)
    for path in _own(data):
        _copy(path, partial / path.name)
    folder = data / _FOLDER
    if folder.is_dir() and not folder.is_symlink():
        _copy_folder(folder, partial / _FOLDER, account)
    partial.rename(target)
    sync_directory(target.parent)


def put_back(saved: Path, data: Path, account: Account) -> None:
    """Put them where they were, over those that came with the copy."""
    for path in sorted(saved.iterdir()):
        if path.name == _FOLDER and path.is_dir() and not path.is_symlink():
            shutil.rmtree(data / _FOLDER, ignore_errors=True)
            _copy_folder(path, data / _FOLDER, account)
        else:
            _copy(path, data / path.name)
    sync_directory(data)


def _own(data: Path) -> list[Path]:
    found = []
    for path in sorted(data.iterdir()):
        is_file = path.is_symlink() or (path.is_file() and path.stat().st_size <= _LARGEST_BYTES)
        if is_file and path.name not in _NOT_OWN and not (path.is_symlink() and path.is_dir()):
            found.append(path)
    return found


def _copy_folder(source: Path, target: Path, account: Account) -> None:
    target.mkdir(mode=0o700)
    give(target, account)
    for path in _own(source):
        _copy(path, target / path.name)


def _copy(source: Path, target: Path) -> None:
    """With owner and mode; a link as a link."""
    temporary = target.with_name(f"{target.name}.dbre")
    temporary.unlink(missing_ok=True)
    if source.is_symlink():
        temporary.symlink_to(source.readlink())
    else:
        given = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(given, "rb") as reader:
            status = os.fstat(given)
            made = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(made, "wb") as writer:
                writer.write(reader.read())
                writer.flush()
                if os.geteuid() == 0:
                    os.fchown(made, status.st_uid, status.st_gid)
                os.fchmod(made, status.st_mode & 0o777)
                os.fsync(made)
    temporary.replace(target)
