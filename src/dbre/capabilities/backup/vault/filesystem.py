"""A vault in a directory: of a disk, of a network file system, of a mounted tape library.

Every path is opened part by part without following links, so that nobody who can write a directory of the vault can lead us
out of it. A file comes to its name by a hard link, which never replaces, after it was flushed; then the directory is flushed.
"""

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from dbre.capabilities.backup.vault.errors import KeyTaken, ObjectDamaged, ObjectMissing, VaultUnusable
from dbre.capabilities.backup.vault.storage import LockStrength, ObjectFacts, Pace, StorageFacts
from dbre.core.errors import DbreError, Denied, Unreachable
from dbre.core.text import printable

__all__ = ["FilesystemStorage"]

_STAGING = "staging"
_CHUNK = 1 << 20
_TRIED = 4096  # a block: a full disk still makes empty files
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class FilesystemStorage:
    """Objects as files below a root that exists already: a mount that is missing must not be filled beside itself."""

    def __init__(self, root: Path, *, is_locked: bool = False) -> None:
        self._root = root
        self._is_locked = is_locked

    @property
    def staging(self) -> Path | None:
        """A directory of the vault: objects that were prepared there are only linked."""
        with self._told("prepare objects in"), self._folder(_STAGING, create=True):
            return self._root / _STAGING

    def put(self, key: str, source: Path, *, sha256: str, retain_until: datetime | None, pace: Pace) -> str | None:  # noqa: ARG002 - the protocol's signature
        """Give the file its name in the vault, or copy it there first where it lies elsewhere."""
        with self._told(f"write {key} to"):
            if source.parent == self._root / _STAGING:
                self._link(source.name, key)
                return None
            name = f"{secrets.token_hex(8)}.part"
            with self._folder(_STAGING, create=True) as folder:
                try:
                    with source.open("rb") as file, os.fdopen(os.open(name, _NEW, 0o600, dir_fd=folder), "wb") as copy:
                        while data := file.read(_CHUNK):
                            pace(len(data))
                            copy.write(data)
                    self._link(name, key)
                finally:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=folder)
        return None

    def put_bytes(self, key: str, data: bytes, *, retain_until: datetime | None) -> str | None:  # noqa: ARG002 - the protocol's signature
        """Likewise, for something small."""
        name = f"{secrets.token_hex(8)}.part"
        with self._told(f"write {key} to"), self._folder(_STAGING, create=True) as folder:
            try:
                with os.fdopen(os.open(name, _NEW, 0o600, dir_fd=folder), "wb") as file:
                    file.write(data)
                self._link(name, key)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=folder)
        return None

    def get(self, key: str, into: Path, *, version_id: str | None, limit: int, pace: Pace) -> None:  # noqa: ARG002 - the protocol's signature
        """Copy an object to a new file."""
        with self._told(f"read {key} of"), os.fdopen(self._open(key), "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if size > limit:
                raise ObjectDamaged(f"{printable(key)} has {size} bytes, more than the {limit} that are expected")
            with os.fdopen(os.open(into, _NEW, 0o600), "wb") as copy:
                while data := file.read(_CHUNK):
                    pace(len(data))
                    copy.write(data)

    def local(self, key: str) -> Path | None:
        """The file itself."""
        with self._told(f"read {key} of"):
            os.close(self._open(key))
        return self._root / key

    def read(self, key: str, *, limit: int) -> bytes:
        """A small object."""
        with self._told(f"read {key} of"), os.fdopen(self._open(key), "rb") as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise ObjectDamaged(f"{printable(key)} has more than the {limit} bytes that are expected")
        return data

    def look(self, key: str, *, version_id: str | None = None) -> ObjectFacts | None:  # noqa: ARG002 - the protocol's signature
        """What lies under a key."""
        try:
            with self._told(f"look at {key} of"), os.fdopen(self._open(key), "rb") as file:
                return ObjectFacts(key=key, size=os.fstat(file.fileno()).st_size)
        except ObjectMissing:
            return None

    def walk(self, prefix: str) -> Iterator[ObjectFacts]:
        """Every object below a folder, in the order of keys."""
        with self._told(f"list {prefix} of"):
            yield from sorted(self._below(prefix.rstrip("/")), key=lambda one: one.key)

    def _below(self, folder: str) -> Iterator[ObjectFacts]:
        try:
            with self._folder(folder, create=False) as descriptor:
                entries = [(one, os.stat(one, dir_fd=descriptor, follow_symlinks=False)) for one in _names(descriptor)]
        except FileNotFoundError:
            return
        for name, facts in entries:
            key = f"{folder}/{name}" if folder else name
            if stat.S_ISDIR(facts.st_mode):
                yield from self._below(key)
            elif stat.S_ISREG(facts.st_mode):
                yield ObjectFacts(key=key, size=facts.st_size, modified_at=datetime.fromtimestamp(facts.st_mtime, UTC))

    def folders(self, prefix: str) -> Sequence[str]:
        """What lies directly below a prefix."""
        with self._told(f"list {prefix} of"):
            try:
                with self._folder(prefix.rstrip("/"), create=False) as descriptor:
                    names = sorted(_names(descriptor))
                    found = [(one, os.stat(one, dir_fd=descriptor, follow_symlinks=False)) for one in names]
            except FileNotFoundError:
                return ()
        return [f"{prefix}{name}/" for name, facts in found if stat.S_ISDIR(facts.st_mode)]

    def delete(self, key: str, *, version_id: str | None) -> None:  # noqa: ARG002 - the protocol's signature
        """Delete for good."""
        folder, _, name = key.rpartition("/")
        gone = contextlib.suppress(FileNotFoundError)
        with self._told(f"delete {key} of"), gone, self._folder(folder, create=False) as descriptor:
            os.unlink(name, dir_fd=descriptor)
            os.fsync(descriptor)

    def try_writing(self) -> None:
        """Write a file to the staging directory and remove it."""
        name = f"{secrets.token_hex(8)}.part"
        with self._told("write to"), self._folder(_STAGING, create=True) as folder:
            try:
                with os.fdopen(os.open(name, _NEW, 0o600, dir_fd=folder), "wb") as file:
                    file.write(bytes(_TRIED))
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=folder)

    def facts(self) -> StorageFacts:
        """What the directory is."""
        with self._told("look at"), self._folder("", create=False) as descriptor:
            mode = os.fstat(descriptor).st_mode
            free = shutil.disk_usage(self._root).free
        problems = [f"others than its owner can read or write {printable(str(self._root))}"] if mode & 0o077 else []
        lock = LockStrength.ADVISORY if self._is_locked else LockStrength.NONE
        return StorageFacts(
            address=printable(str(self._root)), lock=lock, is_versioned=False, free_bytes=free, problems=tuple(problems)
        )

    def close(self) -> None:
        """Nothing is open."""

    def _link(self, staged: str, key: str) -> None:
        """Let a staged file be the object; the staged name goes away."""
        folder, _, name = key.rpartition("/")
        with self._folder(_STAGING, create=True) as staging, self._folder(folder, create=True) as target:
            with os.fdopen(os.open(staged, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=staging), "rb") as file:
                os.fsync(file.fileno())
            try:
                os.link(staged, name, src_dir_fd=staging, dst_dir_fd=target, follow_symlinks=False)
            except FileExistsError as error:
                raise KeyTaken(f"{printable(key)} is in the vault already", hint="nothing in a vault is overwritten") from error
            os.fsync(target)
            os.unlink(staged, dir_fd=staging)

    def _open(self, key: str) -> int:
        folder, _, name = key.rpartition("/")
        try:
            with self._folder(folder, create=False) as descriptor:
                found = os.open(name, _OLD, dir_fd=descriptor)
        except FileNotFoundError as error:
            raise ObjectMissing(f"{printable(key)} is not in the vault at {printable(str(self._root))}") from error
        if not stat.S_ISREG(os.fstat(found).st_mode):
            os.close(found)
            raise ObjectDamaged(f"{printable(key)} is no plain file: somebody put something else in its place")
        return found

    @contextmanager
    def _folder(self, path: str, *, create: bool) -> Iterator[int]:
        try:
            descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise Unreachable(
                f"the vault's directory {printable(str(self._root))} is not there",
                hint="mount it, or make it: mkdir -m 700; dbre never does, so that a missing mount is noticed",
            ) from error
        try:
            for part in path.split("/") if path else ():
                deeper = _step(descriptor, part, create=create)
                os.close(descriptor)
                descriptor = deeper
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except DbreError:
            raise
        except OSError as error:
            raise _error_of(error, printable(what), printable(str(self._root))) from error


def _names(descriptor: int) -> list[str]:
    with os.scandir(descriptor) as found:
        return [one.name for one in found]


def _step(descriptor: int, part: str, *, create: bool) -> int:
    try:
        return os.open(part, _FOLDER, dir_fd=descriptor)
    except FileNotFoundError:
        if not create:
            raise
    with contextlib.suppress(FileExistsError):  # another writer made it meanwhile
        os.mkdir(part, 0o700, dir_fd=descriptor)
        os.fsync(descriptor)
    return os.open(part, _FOLDER, dir_fd=descriptor)


def _error_of(error: OSError, what: str, root: str) -> DbreError:
    words = f"cannot {what} the vault at {root}: {error.strerror or type(error).__name__}"
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return ObjectDamaged(f"{words}: a link lies in the way", hint="look who else writes the vault's directory")
    if error.errno in (errno.EACCES, errno.EPERM):
        return Denied(words, hint="let the user that runs dbre own the directory")
    if error.errno == errno.EROFS:
        return VaultUnusable(words, hint="mount it for writing, or name another vault")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return VaultUnusable(words, hint="make room: dbre backup expire, or a larger disk")
    if error.errno in (errno.ESTALE, errno.EIO, errno.ETIMEDOUT, errno.EHOSTDOWN):
        return Unreachable(words, hint="look at the disk or the file server")
    return VaultUnusable(words)
