"""The name of the superuser that ``initdb`` made, read from a data directory that no server runs in.

A restored server lets in everybody who reaches its socket, but by a name that it knows; and nobody can ask it for one.
Source: ``src/backend/utils/cache/relmapper.c``, ``src/include/storage/bufpage.h``, ``src/include/catalog/pg_authid.h``.
"""

import struct
from pathlib import Path

from dbre.engines.postgres.backup.plain_files import read_plain
from dbre.ports.backup.errors import CopyDamaged

__all__ = ["superuser_of"]

_LIMIT_BYTES = 64 << 20
_AUTHID, _BOOTSTRAP = 1260, 10  # oids of the catalog and of the role
_MAP_MAGIC = 0x592717
_PAGE_BYTES, _HEADER_BYTES, _POINTER_BYTES = 8192, 24, 4
_NAME_BYTES = 64
_HEAP_HEADER_BYTES = 23


def superuser_of(directory: Path) -> str:
    """The role with oid 10, under its newest name. Raises: CopyDamaged where it is not to be found."""
    try:
        number = _file_number(read_plain(directory / "global" / "pg_filenode.map", limit=_LIMIT_BYTES))
        data = read_plain(directory / "global" / str(number), limit=_LIMIT_BYTES)
    except (OSError, struct.error) as error:
        raise CopyDamaged(f"{directory}: the catalog of roles cannot be read: {error}") from error
    found = [name for start in range(0, len(data), _PAGE_BYTES) for name in _names(data[start : start + _PAGE_BYTES])]
    if not found:
        raise CopyDamaged(f"{directory}: the catalog of roles has no superuser")
    return max(found)[1]


def _file_number(data: bytes) -> int:
    magic, count = struct.unpack_from("=ii", data)
    if magic == _MAP_MAGIC:
        for index in range(min(count, 64)):
            oid, number = struct.unpack_from("=II", data, 8 + 8 * index)
            if oid == _AUTHID:
                return int(number)
    raise OSError("global/pg_filenode.map does not name it")


def _names(page: bytes) -> list[tuple[int, str]]:
    """The row's versions on one page with the transactions that made them; those that are dead are overwritten in time."""
    if len(page) < _PAGE_BYTES:
        return []
    (lower,) = struct.unpack_from("=H", page, 12)
    found = []
    for place in range(_HEADER_BYTES, min(lower, _PAGE_BYTES), _POINTER_BYTES):
        (pointer,) = struct.unpack_from("=I", page, place)
        offset, flags, length = pointer & 0x7FFF, (pointer >> 15) & 3, pointer >> 17
        if flags != 1 or length < _HEAP_HEADER_BYTES or offset + length > _PAGE_BYTES:
            continue
        row = page[offset : offset + length]
        (made_by,) = struct.unpack_from("=I", row)
        body = row[row[_HEAP_HEADER_BYTES - 1] :]
        if len(body) >= 4 + _NAME_BYTES and struct.unpack_from("=I", body)[0] == _BOOTSTRAP:
            found.append((made_by, body[4 : 4 + _NAME_BYTES].split(b"\0", 1)[0].decode(errors="replace")))
    return found
