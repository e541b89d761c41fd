"""Objects as they lie in a vault: a file of age (X25519, STREAM) that holds a zstd stream whose first frame says what it is.

age authenticates every 64 KiB and marks the last one, so that a file that was cut off, even at such a border, does not
decrypt. It knows nothing of names, so an object could be put in another's place. Therefore the plaintext begins with a
*skippable frame* of zstd (RFC 8878, 3.1.2) that says which vault, set and part it is: ``zstd -d`` ignores it, we do not.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Protocol

import pyrage
import zstandard
from pyrage import x25519

from dbre.capabilities.backup.vault.errors import ObjectDamaged, WrongIdentity
from dbre.core.text import one_line, printable

__all__ = ["Binding", "Readable", "Sealed", "seal", "unseal"]

Binding = Mapping[str, object]
"""What an object is: vault, system, set and part, or log file."""

_MAGIC = 0x184D2A50
_FRAME_HEAD = 8
_LONGEST_BINDING = 4_096
_READ = 1 << 20
_LEVEL = 3
_LARGEST_WINDOW = 1 << 27


class Readable(Protocol):
    """Gives bytes until there are none."""

    def read(self, size: int = -1, /) -> bytes:
        """At most so many; empty at the end."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """An object as it was written, and what went into it."""

    size: int
    sha256: str
    plain_size: int
    plain_sha256: str


class _Source:
    """Counts and hashes what is read; keeps the error of a read, which age would turn into a text."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self.size = 0
        self.hash = hashlib.sha256()
        self.error: BaseException | None = None

    def read(self, size: int = -1, /) -> bytes:
        try:
            data = self._source.read(size)
        except BaseException as error:
            self.error = error
            raise
        self.size += len(data)
        self.hash.update(data)
        return data


class _Prefixed:
    """A few bytes, then a compressed stream."""

    def __init__(self, prefix: bytes, rest: Readable) -> None:
        self._prefix = prefix
        self._rest = rest

    def read(self, size: int = -1, /) -> bytes:
        if self._prefix:
            head, self._prefix = self._prefix[:size], self._prefix[size:]
            return head
        return self._rest.read(size)


class _Target:
    """Counts and hashes what is written; keeps the error of a write."""

    def __init__(self, file: IO[bytes], pace: Callable[[int], None]) -> None:
        self._file = file
        self._pace = pace
        self.size = 0
        self.hash = hashlib.sha256()
        self.error: BaseException | None = None

    def write(self, data: bytes, /) -> int:
        try:
            self._pace(len(data))
            self._file.write(data)
        except BaseException as error:
            self.error = error
            raise
        self.size += len(data)
        self.hash.update(data)
        return len(data)

    def flush(self) -> None:
        self._file.flush()


def _frame(binding: Binding) -> bytes:
    text = json.dumps(binding, sort_keys=True, separators=(",", ":")).encode()
    return _MAGIC.to_bytes(4, "little") + len(text).to_bytes(4, "little") + text


def seal(
    source: Readable,
    target: IO[bytes],
    *,
    binding: Binding,
    recipients: Sequence[x25519.Recipient],
    pace: Callable[[int], None],
) -> Sealed:
    """Compress and encrypt a stream; memory does not grow with it. What ``source`` and ``pace`` raise comes through."""
    reader, writer = _Source(source), _Target(target, pace)
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    with compressor.stream_reader(reader, read_size=_READ, closefd=False) as compressed:  # type: ignore[arg-type]
        try:
            pyrage.encrypt_io(_Prefixed(_frame(binding), compressed), writer, list(recipients))
        except BaseException:
            own = reader.error or writer.error
            if own is not None:
                raise own from None
            raise
    return Sealed(
        size=writer.size, sha256=writer.hash.hexdigest(), plain_size=reader.size, plain_sha256=reader.hash.hexdigest()
    )


class _Opening:
    """Takes what age gives, checks the first frame, and hands the decompressed rest on, never more than was promised."""

    def __init__(self, binding: Binding, sink: Callable[[bytes], None], limit: int, what: str) -> None:
        self._expected = _frame(binding)
        self._head = bytearray()
        self._sink = sink
        self._limit = limit
        self._what = what
        self.size = 0
        self.hash = hashlib.sha256()
        self.error: BaseException | None = None
        decompressor = zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW)
        self._stream = decompressor.stream_writer(_Sink(self._plain), write_size=_READ, closefd=False)  # type: ignore[arg-type]

    @property
    def has_begun(self) -> bool:
        return len(self._head) >= len(self._expected)

    def write(self, data: bytes, /) -> int:
        try:
            self._take(data)
        except BaseException as error:
            self.error = self.error or error
            raise
        return len(data)

    def flush(self) -> None:
        """Nothing is kept back."""

    def _take(self, data: bytes) -> None:
        if not self.has_begun:
            missing = len(self._expected) - len(self._head)
            self._head += data[:missing]
            data = data[missing:]
            if self._head != self._expected[: len(self._head)]:
                raise ObjectDamaged(
                    f"{self._what} is another object than the one that belongs there: it was exchanged",
                    hint="dbre vault verify tells what else was touched; restore from another vault",
                )
        if data:
            try:
                self._stream.write(data)
            except zstandard.ZstdError as error:
                raise ObjectDamaged(f"{self._what} does not decompress: {one_line(str(error))}") from error

    def _plain(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self._limit:
            raise ObjectDamaged(f"{self._what} decompresses to more than the {self._limit} bytes that the index names")
        self.hash.update(data)
        try:
            self._sink(data)
        except BaseException as error:
            self.error = error
            raise


class _Sink:
    def __init__(self, plain: Callable[[bytes], None]) -> None:
        self._plain = plain

    def write(self, data: bytes, /) -> int:
        self._plain(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is kept back."""


class _Hashed:
    """Hashes a file while it is read, and its rest at the end."""

    def __init__(self, file: IO[bytes], pace: Callable[[int], None]) -> None:
        self._file = file
        self._pace = pace
        self.hash = hashlib.sha256()
        self.error: BaseException | None = None

    def read(self, size: int = -1, /) -> bytes:
        try:
            data = self._file.read(size)
            self._pace(len(data))
        except BaseException as error:
            self.error = error
            raise
        self.hash.update(data)
        return data


def unseal(
    source: IO[bytes],
    sink: Callable[[bytes], None],
    *,
    sealed: Sealed,
    binding: Binding,
    identities: Sequence[x25519.Identity],
    pace: Callable[[int], None],
    what: str,
) -> None:
    """Decrypt an object into ``sink``. ``sealed`` and ``binding`` are what the signed index says of it; ``what`` names it.

    The caller has compared size and SHA-256 of the whole object before; they are compared again with what was really read.

    Raises: ObjectDamaged, WrongIdentity; what ``sink`` and ``pace`` raise comes through.
    """
    shown = printable(what)
    reader, opening = _Hashed(source, pace), _Opening(binding, sink, sealed.plain_size, shown)
    try:
        pyrage.decrypt_io(reader, opening, list(identities))
    except BaseException as error:
        own = reader.error or opening.error
        if own is not None:
            raise own from None
        raise _told(error, shown) from error
    if reader.hash.hexdigest() != sealed.sha256:
        raise ObjectDamaged(f"{shown} changed while it was read")
    if not opening.has_begun or opening.size != sealed.plain_size or opening.hash.hexdigest() != sealed.plain_sha256:
        raise ObjectDamaged(f"{shown} holds {opening.size} bytes that are not the {sealed.plain_size} that were put there")


def _told(error: BaseException, what: str) -> BaseException:
    words = one_line(str(error))
    if isinstance(error, pyrage.DecryptError) and "matching" in words:
        return WrongIdentity(
            f"the identity is of none of the recipients of {what}",
            hint="vaults.identity must be one of the age identities whose recipients the vault names",
        )
    if isinstance(error, OSError | pyrage.DecryptError):
        kind = "is cut off" if "truncated" in words else "was changed"
        return ObjectDamaged(f"{what} {kind}: {words}", hint="restore from another vault; dbre vault verify --deep tells all")
    return error
