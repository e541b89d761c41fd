"""Whether a path lies on a network file system, where SQLite's locks and shared memory cannot be trusted."""

import os
import re
from pathlib import Path

from dbre.core.text import printable

__all__ = ["file_system_type", "place_warnings"]

_NETWORK = frozenset(
    {"9p", "afs", "ceph", "cifs", "coda", "gfs2", "glusterfs", "lustre", "nfs", "nfs4", "ocfs2", "smb3", "smbfs", "vboxsf"}
    | {"fuse.cephfs", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs"}
)
_MOUNTS = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")


def file_system_type(path: Path, *, mounts: Path = _MOUNTS) -> str | None:
    """The type of the file system that holds ``path`` (``ext4``, ``nfs4``); None where the kernel does not tell.

    Source: proc(5), "/proc/pid/mountinfo".
    """
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return None
    place = os.path.realpath(path)
    best, found = -1, None
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4])
        # A later line covers an earlier one on the same mount point.
        if (place == point or place.startswith(point.rstrip("/") + "/")) and len(point) >= best:
            best, found = len(point), after.split(" ")[0]
    return found


def place_warnings(path: Path, *, mounts: Path = _MOUNTS) -> tuple[str, ...]:
    """What is doubtful about the place of a SQLite store, as sentences."""
    kind = file_system_type(path.parent, mounts=mounts)
    if kind not in _NETWORK:
        return ()
    subject = f"state store {printable(str(path))} lies on a network file system ({kind})"
    return (f"{subject}: SQLite's locks are not safe there; use a local disk, or PostgreSQL for a team",)
