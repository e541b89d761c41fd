"""The system identifier in ``global/pg_control``: the first eight bytes, in every version.

Source: ``src/include/catalog/pg_control.h``.
"""

import sys
from pathlib import Path

from dbre.engines.postgres.backup.plain_files import read_plain
from dbre.ports.backup.errors import CopyDamaged

__all__ = ["system_id_of"]

_LIMIT_BYTES = 64 * 1024


def system_id_of(directory: Path) -> str:
    """Of which system the files of a data directory are. Raises: CopyDamaged."""
    path = directory / "global" / "pg_control"
    try:
        data = read_plain(path, limit=_LIMIT_BYTES)
    except OSError as error:
        raise CopyDamaged(f"{path} cannot be read: {error.strerror or error}") from error
    found = int.from_bytes(data[:8], sys.byteorder)
    if len(data) < 8 or found == 0:
        raise CopyDamaged(f"{path} is no control file of PostgreSQL")
    return str(found)
