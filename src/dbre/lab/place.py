"""Directories of labs: which are ours, how one is claimed, and how it goes away whatever state it is in."""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from dbre.core.errors import Conflict, Denied
from dbre.core.programs.account import Account, first_barrier, require_reachable
from dbre.core.programs.errors import DirectoryUnusable
from dbre.core.units import format_bytes
from dbre.lab.destruction import MARKER, destroy
from dbre.lab.errors import LabError
from dbre.lab.network.names import remove_network
from dbre.lab.processes import find_processes

__all__ = ["MARKER", "base_directory", "claim", "is_lab", "labs_in", "remove"]

NEEDED_BYTES = 200 * 2**20  # for each server: data, log, and a little to work with


def base_directory(account: Account, environment: Mapping[str, str]) -> Path:
    """Where labs without ``--directory`` live: ``$XDG_STATE_HOME/dbre/lab`` if servers can reach it, else in ``/tmp``."""
    state_home = environment.get("XDG_STATE_HOME", "")
    if Path(state_home).is_absolute() and Path(state_home).is_dir() and first_barrier(Path(state_home), account) is None:
        return Path(state_home) / "dbre" / "lab"
    return _temporary_base()


def _temporary_base() -> Path:
    return Path(tempfile.gettempdir()) / f"dbre-lab-{os.geteuid()}"


def is_lab(directory: Path) -> bool:
    """Whether a lab was begun there, complete or not."""
    return not directory.is_symlink() and (directory / MARKER).is_file()


def labs_in(base: Path) -> list[Path]:
    """The labs below a base directory."""
    try:
        return sorted(path for path in base.iterdir() if not path.name.startswith(".") and is_lab(path))
    except OSError:
        return []


def claim(directory: Path, *, name: str, account: Account, servers: int) -> None:
    """Make ``directory`` ours, with the marker in it from the first moment on.

    Raises: Conflict if a lab is there, DirectoryUnusable if it is anything else but absent or empty, if we may not write
    there, if the servers' account cannot reach it, or if the disk has no room.
    """
    if is_lab(directory):
        state = "is up" if find_processes(directory) else "left its files"
        raise Conflict(f"lab {name!r} {state} in {directory}", hint=f"take it down first: dbre lab down --name {name}")
    if directory.is_symlink() or (directory.exists() and not directory.is_dir()):
        raise DirectoryUnusable(f"{directory} is not a directory", hint="name another with --directory")
    try:
        if directory.is_dir():
            if any(directory.iterdir()):
                raise DirectoryUnusable(
                    f"{directory} is not empty, and holds no lab", hint="name a directory that is empty or does not exist"
                )
            (directory / MARKER).write_text(_marker(name))
        else:
            _make_with_marker(directory, name)
        directory.chmod(0o711)  # the servers' account passes through to its own directories
    except PermissionError as error:
        raise DirectoryUnusable(
            f"{error.filename or directory} may not be written by us", hint="name another directory with --directory"
        ) from error
    except OSError as error:
        raise DirectoryUnusable(
            f"{directory} cannot be made: {error.filename or directory}: {error.strerror}", hint="name another with --directory"
        ) from error
    try:
        require_reachable(directory, account)
        _require_room(directory, servers)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise


def remove(directory: Path) -> bool:
    """Kill the servers of the lab in ``directory`` and remove it; False if there is none. Works on half a lab, and twice.

    Raises: DirectoryUnusable if something else is there, Denied if the lab is another user's, LabError if it does not go.
    """
    _sweep_unfinished(directory)
    if not os.path.lexists(directory):
        remove_network(directory)  # of a lab whose directory somebody removed by hand
        return False
    if not is_lab(directory):
        raise DirectoryUnusable(f"{directory} holds no lab: nothing was removed", hint="see what there is: dbre lab status")
    owner = (directory / MARKER).lstat().st_uid
    if os.geteuid() not in (0, owner):
        raise Denied(f"the lab in {directory} belongs to user {owner}", hint="run dbre as that user, or as root")
    if not destroy(directory):
        left = ", ".join(str(process.pid) for process in find_processes(directory))
        raise LabError(
            f"{directory} is not gone: " + (f"processes {left} do not end" if left else "files cannot be removed"),
            hint=f"see what is left: ls -laR {directory}",
        )
    if directory.parent == _temporary_base():
        with suppress(OSError):  # not empty: other labs
            directory.parent.rmdir()
    return True


def _marker(name: str) -> str:
    return json.dumps({"lab": name}) + "\n"


def _make_with_marker(directory: Path, name: str) -> None:
    """Both appear at once, so that a crash leaves either a lab that ``down`` removes, or nothing under that name."""
    directory.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    status = directory.parent.stat()
    is_open = status.st_mode & 0o002 and not status.st_mode & 0o1000
    is_squatted = directory.parent == _temporary_base() and status.st_uid != os.geteuid()
    if is_open or is_squatted:
        raise DirectoryUnusable(
            f"{directory.parent} is open to other users, who could replace what is in it", hint=f"chmod go-w {directory.parent}"
        )
    fresh = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        (fresh / MARKER).write_text(_marker(name))
        fresh.rename(directory)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def _sweep_unfinished(directory: Path) -> None:
    """Remove what an ``up`` that was killed between making and naming its directory left a minute or more ago."""
    for path in directory.parent.glob(f".{directory.name}.????????"):
        try:
            status = path.lstat()
            if status.st_uid == os.geteuid() and time.time() - status.st_mtime > 60:
                (path / MARKER).unlink(missing_ok=True)
                path.rmdir()
        except OSError:
            continue  # somebody else's, or not empty: not ours to remove


def _require_room(directory: Path, servers: int) -> None:
    status = os.statvfs(directory)
    free, needed = status.f_bavail * status.f_frsize, servers * NEEDED_BYTES
    if free < needed:
        raise DirectoryUnusable(
            f"{directory} has {format_bytes(free)} free; {servers} servers need {format_bytes(needed)}",
            hint="free some space, or name a directory on another disk with --directory",
            context={"free_bytes": free, "needed_bytes": needed},
        )
