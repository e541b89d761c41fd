"""The checksums that manifests of PostgreSQL name, computed over a file that is read once.

Source: PostgreSQL, ``src/common/checksum_helper.c``. CRC-32C, which ``pg_basebackup`` takes unless it is told otherwise, stands
in the manifest as the machine of the server has it in memory; a copy from a machine of the other order starts here no more than
its control file is understood.
"""

import hashlib
import io
import sys
import threading
from collections.abc import Callable
from typing import Protocol

import google_crc32c

__all__ = ["STRONG", "digest_of"]

STRONG = frozenset({"SHA224", "SHA256", "SHA384", "SHA512"})
"""Nobody can make another file with the same checksum; CRC-32C finds accidents only."""

_BUFFER_BYTES = 1 << 18  # what was read is still in the cache of the processor when it is hashed


class _Hash(Protocol):
    def update(self, data: memoryview, /) -> None: ...

    def digest(self) -> bytes: ...


_HASHES: dict[str, Callable[[], _Hash]] = {
    "SHA224": hashlib.sha224,
    "SHA256": hashlib.sha256,
    "SHA384": hashlib.sha384,
    "SHA512": hashlib.sha512,
}


class _Buffer(threading.local):
    """One for each thread, for all of its files: to make one takes longer than to hash a small file."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(_BUFFER_BYTES))


_buffer = _Buffer()


def digest_of(stream: io.FileIO, algorithm: str) -> bytes:
    """What a manifest says of the rest of a stream.

    Raises: OSError where it cannot be read, KeyError for an algorithm that no manifest has.
    """
    if algorithm == "CRC32C":
        return _crc32c(stream).to_bytes(4, sys.byteorder)
    digest, view = _HASHES[algorithm](), _buffer.view
    while count := stream.readinto(view):
        digest.update(view[:count])
    return digest.digest()


def _crc32c(stream: io.FileIO) -> int:
    value = 0
    while piece := stream.read(_BUFFER_BYTES):  # the library takes nothing that could change under it
        value = google_crc32c.extend(value, piece)
    return value
