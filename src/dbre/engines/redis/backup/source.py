"""A server before it is copied: what it says of itself, and where its files are."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dbre.core.errors import Unsupported
from dbre.core.text import printable
from dbre.engines.redis.backup.aof import AofDamaged, AofManifest, parse_manifest
from dbre.engines.redis.backup.asking import conversation
from dbre.engines.redis.backup.positions import IncrementName
from dbre.engines.redis.commands import named
from dbre.engines.redis.facts import Product, identify_product
from dbre.engines.redis.link import sections_of
from dbre.engines.redis.session import server_time
from dbre.ports.backup.model import LogPosition
from dbre.ports.engine import Access

__all__ = ["KEPT_SETTINGS", "Source", "read_aof", "read_source", "require_log_end", "where_log_ends"]

KEPT_SETTINGS = ("appenddirname", "appendfilename", "databases")
"""What a server that is started from the copy must have in common with its source."""

_ASKED = (
    *KEPT_SETTINGS,
    "dir",
    "appendonly",
    "appendfsync",
    "aof-timestamp-enabled",
    "aof-load-truncated",
    "auto-aof-rewrite-percentage",
    "dbfilename",
    "rdbchecksum",
)
_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a server says of itself."""

    product: Product
    version: tuple[int, ...]
    version_text: str
    system_id: str
    measured_at: datetime
    is_replica: bool
    info: Mapping[str, str]
    settings: Mapping[str, str]
    modules: tuple[str, ...]

    @property
    def has_log(self) -> bool:
        """Whether it writes an append-only file of several parts."""
        return self.settings.get("appendonly") == "yes" and "appenddirname" in self.settings

    @property
    def aof_directory(self) -> Path:
        """Where the append-only file is, on the server's machine."""
        return Path(self.settings["dir"]) / self.settings["appenddirname"]


async def read_source(access: Access) -> Source:
    """Ask the server. Raises: Unreachable, Denied, Unsupported."""
    limit = access.timeouts.statement_seconds
    async with conversation(access) as connection:
        info = sections_of(await connection.run(named("info"), limit_seconds=limit))
        measured_at = server_time(await connection.run(named("time"), limit_seconds=limit))
        settings: dict[str, str] = {}
        for name in _ASKED:
            answer = await connection.run(named("backup_setting"), name, limit_seconds=limit)
            settings |= dict(zip(answer[::2], answer[1::2], strict=True))
    product, version, text = identify_product(info)
    return Source(
        product=product,
        version=version,
        version_text=text,
        system_id=system_id_of(access),
        measured_at=measured_at,
        is_replica=info.get("role") != "master",
        info=info,
        settings=settings,
        modules=tuple(sorted(_modules(info))),
    )


def system_id_of(access: Access) -> str:
    """Redis gives its data no lasting number: the replication id changes with each start. So the address has to name it."""
    return "redis-" + _NOT_IN_AN_ID.sub("-", f"{access.address.host}-{access.address.port}").strip("-")


def read_aof(source: Source) -> AofManifest:
    """The manifest, as it is now. Raises: Unsupported where it cannot be read here, or is none."""
    path = source.aof_directory / f"{source.settings['appendfilename']}.manifest"
    try:
        return parse_manifest(path.read_text("ascii"))
    except (OSError, UnicodeDecodeError, AofDamaged) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise Unsupported(
            f"the append-only file in {printable(str(path.parent), limit=200)} cannot be read on this machine: {reason}",
            hint="run dbre on the server's machine, as the server's user; without it only snapshots can be taken",
        ) from error


def where_log_ends(source: Source) -> LogPosition | None:
    """Where the newest file ends now. None where the name is not one that we know. Raises: Unsupported."""
    newest = read_aof(source).increments[-1]
    name = IncrementName.parse(newest.name)
    return None if name is None else name.at((source.aof_directory / newest.name).stat().st_size)


def require_log_end(source: Source, access: Access) -> LogPosition:
    """Where the newest file ends now. Raises: Unsupported where there is none, or it cannot be read here."""
    if not source.has_log:
        raise Unsupported(
            f"Redis at {access.address} has appendonly off: there is no log to keep",
            hint="CONFIG SET appendonly yes; log: {mode: none} in the policy keeps snapshots only",
        )
    found = where_log_ends(source)
    if found is None:
        raise Unsupported(
            f"Redis at {access.address} writes its append-only file under a name that is not known here",
            hint="appendfilename takes letters, digits, dots, dashes and underscores",
        )
    return found


def _modules(info: Mapping[str, Any]) -> list[str]:
    return [str(value).partition(",")[0].removeprefix("name=") for key, value in info.items() if key == "module"]
