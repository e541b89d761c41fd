"""A server before it is copied: what it says of itself, and what its files say."""

import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dbre.core.pool import abort_on_error
from dbre.engines.mysql.connection import Row, open_connection
from dbre.engines.mysql.facts import Product, identify_product
from dbre.engines.mysql.faults import FAULTS, error_number
from dbre.engines.mysql.link import STATEMENT_GRACE_SECONDS, ask_named
from dbre.engines.mysql.session import is_switched_on
from dbre.ports.engine import Access

__all__ = ["Source", "ask", "ask_unless_denied", "read_source", "read_system_id", "size_of"]

_CONTROL_FILE = "aria_log_control"
_CONTROL_MAGIC = b"\xfe\xfe\x0c"
_UUID_AT = 4
_REFUSED = {1044, 1142, 1227}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a server says of itself."""

    product: Product
    version: tuple[int, ...]
    version_text: str
    measured_at: datetime
    server_id: int
    server_uid: str
    data_directory: Path
    has_binlog: bool
    is_replica: bool
    settings: Mapping[str, str]


async def ask(access: Access, *names: str) -> list[Sequence[Row]]:
    """The rows of named statements, over a connection of its own. Raises: Unreachable, Denied, Unsupported."""
    limit = access.timeouts.statement_seconds + STATEMENT_GRACE_SECONDS
    try:
        connection = await open_connection(access, what="backup")
        with abort_on_error(connection):
            found: list[Sequence[Row]] = [await ask_named(connection, name, limit_seconds=limit) for name in names]
        connection.abort()
    except FAULTS.raised as error:
        raise FAULTS.translate(error, access, limit_seconds=limit) from error
    return found


async def ask_unless_denied(access: Access, name: str) -> Sequence[Row] | None:
    """The rows; None where the login lacks the privilege."""
    limit = access.timeouts.statement_seconds + STATEMENT_GRACE_SECONDS
    try:
        connection = await open_connection(access, what="backup")
        with abort_on_error(connection):
            found = await ask_named(connection, name, limit_seconds=limit)
        connection.abort()
    except FAULTS.raised as error:
        if error_number(error) in _REFUSED:
            return None
        raise FAULTS.translate(error, access, limit_seconds=limit) from error
    return found


async def read_source(access: Access) -> Source:
    """Ask the server. Raises: Unreachable, Denied; Unsupported for MySQL and for MariaDB before 10.6."""
    ((row,),) = await ask(access, "backup_source")
    product, version = identify_product(str(row["version_text"]))
    return Source(
        product=product,
        version=version,
        version_text=str(row["version_text"]),
        measured_at=as_utc(row["measured_at"]),
        server_id=int(row["server_id"]),
        server_uid=str(row["server_uid"]),
        data_directory=Path(str(row["datadir"])),
        has_binlog=is_switched_on(row["log_bin"]),
        is_replica=int(row["appliers"] or 0) > 0,
        settings={name: str(value) for name, value in row.items() if name in _SHOWN},
    )


_SHOWN = (
    "binlog_checksum",
    "character_set_server",
    "collation_server",
    "lower_case_table_names",
    "binlog_expire_logs_seconds",
    "binlog_format",
    "innodb_checksum_algorithm",
    "innodb_flush_log_at_trx_commit",
    "log_bin",
    "log_slave_updates",
    "sync_binlog",
)


def as_utc(value: Any) -> datetime:
    """A time of the server's, which we asked for in UTC."""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment.replace(tzinfo=UTC)


def read_system_id(directory: Path) -> str | None:
    """The number that a data directory got when it was made, and that its copies and replicas keep; None: it cannot be read.

    Source: storage/maria/ma_control_file.c: magic, version, UUID of 16 bytes.
    """
    try:
        descriptor = os.open(directory / _CONTROL_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        head = file.read(_UUID_AT + 16)
    if len(head) < _UUID_AT + 16 or not head.startswith(_CONTROL_MAGIC):
        return None
    return str(uuid.UUID(bytes=head[_UUID_AT:]))


def size_of(directory: Path) -> int:
    """Bytes of all files below a directory; those that vanish meanwhile count nothing."""
    total = 0
    for root, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_size  # noqa: PTH118 - a hundred thousand files
            except FileNotFoundError:
                continue
    return total
