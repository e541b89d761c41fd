"""A tar stream back into a directory, with what ``tar_stream`` puts into one and nothing else.

Python's own filters are not used: Debian 12's 3.11.2 has none. Every directory is opened part by part without following links,
and links are made only after everything else, so that nothing is ever written through one.
"""

import errno
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from dbre.capabilities.backup.vault.errors import ObjectDamaged
from dbre.capabilities.backup.vault.tar_stream import stays_inside
from dbre.core.text import quoted

__all__ = ["unpack_tar"]

_CHUNK = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NOT_OTHERS = 0o755
"""Bits of a mode that are kept: no set-user-id, nothing that others than the owner may write."""


def unpack_tar(stream: Any, into: Path, unpacked: Callable[[int], None]) -> None:
    """Unpack a stream into an empty directory; ``unpacked`` is told of the size of every plain file.

    Raises: ObjectDamaged for a name that leads out of the directory or comes twice, for a link that does, for devices, pipes,
    hard links; tarfile.TarError, OSError.
    """
    links: list[tuple[str, str]] = []
    modes: list[tuple[str, int]] = []
    with _opened(into) as root, tarfile.open(fileobj=stream, mode="r|", bufsize=_CHUNK) as archive:
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined] # it keeps all of them: millions of files have no room in memory
            if member.type == tarfile.DIRTYPE:
                with _fitting(member.name):
                    _make_folder(root, _parts_of(member.name))
                modes.append((member.name, member.mode & _NOT_OTHERS))
            elif member.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
                with _fitting(member.name):
                    _write_file(root, _parts_of(member.name), member, archive.extractfile(member))
                unpacked(member.size)
            elif member.type == tarfile.SYMTYPE:
                if not stays_inside(member.name, member.linkname):
                    raise _refused(member.name, f"is a link to {quoted(member.linkname, limit=300)}, which leads out of it")
                links.append((member.name, member.linkname))
                _parts_of(member.name)
            else:
                raise _refused(member.name, "is neither a file nor a directory nor a link")
        _make_links(root, into, links)
        for name, mode in reversed(modes):
            with _folder(root, _parts_of(name)) as folder:
                os.fchmod(folder, mode | stat.S_IRWXU)


def _parts_of(name: str) -> list[str]:
    parts = name.rstrip("/").split("/")
    if not all(parts) or any(one in (".", "..") or "\0" in one for one in parts):
        raise _refused(name, "leads out of it")
    return parts


def _refused(name: str, why: str) -> ObjectDamaged:
    return ObjectDamaged(f"{quoted(name, limit=300)} of the set {why}", hint="see who else can write the vault and sign for it")


@contextmanager
def _fitting(name: str) -> Iterator[None]:
    try:
        yield
    except (FileExistsError, FileNotFoundError, NotADirectoryError) as error:
        raise _refused(name, "does not go with what came before it") from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _refused(name, "lies behind a link") from error
        raise


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, _FOLDER)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _folder(root: int, parts: list[str]) -> Iterator[int]:
    """A directory below the root, no part of which is a link."""
    descriptor = os.dup(root)
    try:
        for part in parts:
            deeper = os.open(part, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = deeper
        yield descriptor
    finally:
        os.close(descriptor)


def _make_folder(root: int, parts: list[str]) -> None:
    with _folder(root, parts[:-1]) as parent:
        os.mkdir(parts[-1], 0o700, dir_fd=parent)


def _write_file(root: int, parts: list[str], member: tarfile.TarInfo, source: IO[bytes] | None) -> None:
    left = member.size
    with (
        _folder(root, parts[:-1]) as parent,
        os.fdopen(os.open(parts[-1], _NEW, 0o600, dir_fd=parent), "wb", buffering=0) as file,
    ):
        while source is not None and left:
            data = source.read(min(left, _CHUNK))
            if not data:
                break
            left -= len(data)
            _write_all(file, data)
        if left:
            raise _refused(member.name, f"ends {left} bytes early")
        os.fchmod(file.fileno(), member.mode & _NOT_OTHERS | stat.S_IRUSR | stat.S_IWUSR)
        with suppress(OverflowError):  # a moment that no file system knows
            os.utime(file.fileno(), (member.mtime, member.mtime))


def _write_all(file: Any, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _make_links(root: int, into: Path, links: list[tuple[str, str]]) -> None:
    """Make all, then see where each of them leads: one through another may lead further than either says."""
    top = into.resolve()
    for name, target in links:
        parts = _parts_of(name)
        with _fitting(name), _folder(root, parts[:-1]) as parent:
            os.symlink(target, parts[-1], dir_fd=parent)
    for name, target in links:
        try:
            found = (into / name).resolve()
        except (OSError, RuntimeError) as error:  # a circle: an OSError since Python 3.13
            raise _refused(name, "is a link that leads to itself") from error
        if not found.is_relative_to(top):
            raise _refused(name, f"is a link to {quoted(target, limit=300)}, which leads out of it")
