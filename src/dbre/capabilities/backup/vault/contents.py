"""Files and directories on their way into a vault and out of it: sealed, sent, fetched, compared, unpacked. It blocks."""

import contextlib
import errno
import hashlib
import os
import queue
import secrets
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pyrage import x25519

from dbre.capabilities.backup.vault.envelope import Binding, Readable, Sealed, seal, unseal
from dbre.capabilities.backup.vault.errors import ObjectDamaged, VaultUnusable
from dbre.capabilities.backup.vault.flow import Flow
from dbre.capabilities.backup.vault.storage import Storage
from dbre.capabilities.backup.vault.tar_unpacking import unpack_tar
from dbre.core.errors import PrecheckFailed
from dbre.core.text import printable, quoted

__all__ = ["Contents", "Stowed", "Unpacking"]

_READ = 1 << 20
_QUEUE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Stowed:
    """One object as the index names it."""

    key: str
    size: int
    sha256: str
    plain_size: int
    plain_sha256: str
    version_id: str | None = None

    def as_value(self) -> dict[str, Any]:
        """For an entry of the index."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Stowed":
        """From an entry of the index."""
        return cls(**{name: value[name] for name in cls.__slots__})

    @property
    def sealed(self) -> Sealed:
        """What it is compared with."""
        return Sealed(size=self.size, sha256=self.sha256, plain_size=self.plain_size, plain_sha256=self.plain_sha256)


class Contents:
    """Puts streams into a storage and gets them out. ``staging`` is where objects are prepared if the storage has no place."""

    def __init__(
        self,
        storage: Storage,
        *,
        staging: Path,
        recipients: Sequence[x25519.Recipient],
        identities: Sequence[x25519.Identity],
    ) -> None:
        self._storage = storage
        self._staging = staging
        self._recipients = tuple(recipients)
        self._identities = tuple(identities)

    @property
    def reads_own(self) -> bool:
        """Whether an identity here opens what is put there from now on."""
        mine = {str(one.to_public()) for one in self._identities}
        return any(str(one) in mine for one in self._recipients)

    def stow(
        self,
        source: Readable,
        *,
        binding: Binding,
        key_of: Callable[[str], str],
        retain_until: datetime | None,
        flow: Flow,
    ) -> Stowed:
        """Encrypt a stream and put it under the key that goes with its SHA-256."""
        place = self._storage.staging
        is_in_place = place is not None
        with self._staged(place) as path:
            with (
                _told_of_no_room(path.parent),
                os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file,
            ):
                pace = flow.pace if is_in_place else _only_check(flow)
                sealed = seal(source, file, binding=binding, recipients=self._recipients, pace=pace)
            key = key_of(sealed.sha256)
            version = self._storage.put(key, path, sha256=sealed.sha256, retain_until=retain_until, pace=flow.pace)
        return Stowed(
            key=key,
            size=sealed.size,
            sha256=sealed.sha256,
            plain_size=sealed.plain_size,
            plain_sha256=sealed.plain_sha256,
            version_id=version,
        )

    def open(self, stowed: Stowed, sink: Callable[[bytes], None], *, binding: Binding, flow: Flow) -> None:
        """Decrypt an object into ``sink``, after all of its ciphertext was compared with the index.

        Raises: ObjectMissing, ObjectDamaged, WrongIdentity.
        """
        with self.checked(stowed, flow=flow) as path:
            self.decrypt(path, stowed, sink, binding=binding, flow=flow)

    def decrypt(self, path: Path, stowed: Stowed, sink: Callable[[bytes], None], *, binding: Binding, flow: Flow) -> None:
        """Decrypt what ``checked`` gave into ``sink``. Raises: ObjectDamaged, WrongIdentity."""
        with path.open("rb") as file:
            unseal(
                file,
                sink,
                sealed=stowed.sealed,
                binding=binding,
                identities=self._identities,
                pace=_only_check(flow),
                what=stowed.key,
            )

    @contextmanager
    def checked(self, stowed: Stowed, *, flow: Flow) -> Iterator[Path]:
        """The ciphertext as a file that is what the index says; it needs no identity. Raises: ObjectMissing, ObjectDamaged."""
        local = self._storage.local(stowed.key)
        if local is not None:
            _compare(local, stowed, flow.pace)
            yield local
            return
        with self._staged(None) as path:
            self._storage.get(stowed.key, path, version_id=stowed.version_id, limit=stowed.size, pace=flow.pace)
            _compare(path, stowed, _only_check(flow))
            yield path

    @contextmanager
    def _staged(self, place: Path | None) -> Iterator[Path]:
        if place is None:
            place = self._staging
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = place / f"{secrets.token_hex(8)}.part"
        try:
            yield path
        finally:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


@contextmanager
def _told_of_no_room(directory: Path) -> Iterator[None]:
    """Only what is written there can lack room; what is read is the copy's own. Raises: VaultUnusable."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise VaultUnusable(
            f"objects cannot be prepared in {quoted(str(directory))}: {error.strerror}",
            hint="make room: dbre backup expire, or a larger disk",
        ) from error


def _only_check(flow: Flow) -> Callable[[int], None]:
    def check(_count: int) -> None:
        flow.check()

    return check


def _compare(path: Path, stowed: Stowed, pace: Callable[[int], None]) -> None:
    digest, size = hashlib.sha256(), 0
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb", buffering=0) as file:
        while data := file.read(_READ):
            pace(len(data))
            digest.update(data)
            size += len(data)
    shown = printable(stowed.key)
    if size != stowed.size:
        what = "is cut off: it" if size < stowed.size else "grew: it"
        raise ObjectDamaged(f"{shown} {what} has {size} bytes, the index says {stowed.size}", hint="restore from another vault")
    if digest.hexdigest() != stowed.sha256:
        raise ObjectDamaged(
            f"{shown} was changed or exchanged: its SHA-256 is {digest.hexdigest()[:16]}..., the index says"
            f" {stowed.sha256[:16]}...",
            hint="restore from another vault; dbre vault verify tells what else is damaged",
        )


class Unpacking:
    """Takes a tar stream in pieces and unpacks it in a thread of its own, with what is known to be harmless only."""

    def __init__(self, into: Path, flow: Flow) -> None:
        self._into = into
        self._flow = flow
        self._queue: queue.Queue[bytes] = queue.Queue(_QUEUE)
        self._rest = b""
        self._is_at_end = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="dbre-unpack")
        self.files = 0
        self.bytes = 0
        self._thread.start()

    def feed(self, data: bytes) -> None:
        """Hand over the next piece. Raises what unpacking raised."""
        while True:
            if self._error is not None:
                raise self._error
            if not self._thread.is_alive():
                raise ObjectDamaged(f"unpacking into {self._shown} ended before the stream did")
            self._flow.check()
            try:
                self._queue.put(data, timeout=0.2)
            except queue.Full:
                continue
            self._flow.passed(len(data))
            return

    def finish(self) -> None:
        """Wait until all is unpacked. Raises what unpacking raised."""
        self._queue_end()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def abandon(self) -> None:
        """End without looking at what is missing."""
        self._flow.end()
        self._thread.join()

    def _queue_end(self) -> None:
        while self._thread.is_alive():
            try:
                self._queue.put(b"", timeout=0.2)
            except queue.Full:
                continue
            return

    def read(self, size: int = -1, /) -> bytes:
        """For tarfile."""
        while not self._rest and not self._is_at_end:
            try:
                self._rest = self._queue.get(timeout=0.2)
            except queue.Empty:
                self._flow.check()
                continue
            self._is_at_end = not self._rest
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def _run(self) -> None:
        """Whatever ends this thread early is kept for who feeds it: nobody else would ever hear of it."""
        try:
            self._unpack()
        except ObjectDamaged as error:
            self._error = error
        except tarfile.TarError as error:
            self._error = ObjectDamaged(f"the set does not unpack into {self._shown}: {printable(str(error))}")
            self._error.__cause__ = error
        except OSError as error:  # of this machine, not of the vault: no space, no permission
            words = f"cannot unpack the set into {self._shown}: {printable(error.strerror or type(error).__name__)}"
            self._error = PrecheckFailed(words, hint="make room, or choose another directory")
            self._error.__cause__ = error
        except BaseException as error:  # noqa: BLE001 -- raised again by feed and finish
            self._error = error

    @property
    def _shown(self) -> str:
        return quoted(str(self._into))

    def _unpack(self) -> None:
        unpack_tar(self, self._into, self._count)
        while self.read(_READ):  # what follows the end of the archive is part of what the index promised
            pass

    def _count(self, size: int) -> None:
        self.files, self.bytes = self.files + 1, self.bytes + size
