"""One copy of the state store as a directory with a manifest, taken while a control plane writes."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.own_state.model import ENGINE_OF_FILES, STATE_FILE
from dbre.core.errors import UsageError
from dbre.core.fleet import Address, TlsMode
from dbre.core.programs.account import give
from dbre.core.secrets import Secret
from dbre.core.store import Store
from dbre.core.store.address import PostgresAddress, SqliteAddress
from dbre.core.store.copy import copy_sqlite
from dbre.ports.backup.model import CopyKind, CopyOrder
from dbre.ports.engine import Access, Timeouts
from dbre.ports.file_manifest import MANIFEST_NAME, write_file_manifest

__all__ = ["StateCopy", "copy_state"]

_DEFAULT_HOST, _DEFAULT_PORT = "localhost", 5432
_TIMEOUTS = Timeouts(connect_seconds=10.0, statement_seconds=60.0, lock_seconds=5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class StateCopy:
    """What was copied."""

    engine: str
    kind: CopyKind
    started_at: datetime
    stopped_at: datetime
    bytes: int
    tool: str
    version_text: str
    manifest: Path
    details: Mapping[str, Any]


async def copy_state(ground: BackupGround, store: Store, directory: Path, *, set_id: str, password: Secret | None) -> StateCopy:
    """Copy the store into an empty directory.

    Raises: StoreError, Unreachable, Denied, CopyFailed, Unsupported; UsageError for a store without a user.
    """
    address = store.address
    if isinstance(address, SqliteAddress):
        return await _file(ground, address, directory, set_id)
    return await _database(ground, address, directory, set_id, password)


async def _file(ground: BackupGround, address: SqliteAddress, directory: Path, set_id: str) -> StateCopy:
    import sqlite3

    started_at = ground.clock.now()
    await copy_sqlite(address, directory / STATE_FILE)
    stopped_at = ground.clock.now()
    facts = {"set_id": set_id, "started_at": started_at.isoformat(), "stopped_at": stopped_at.isoformat()}
    manifest = await asyncio.to_thread(write_file_manifest, directory, engine=ENGINE_OF_FILES, facts=facts)
    return StateCopy(
        engine=ENGINE_OF_FILES,
        kind=CopyKind.SNAPSHOT,
        started_at=started_at,
        stopped_at=stopped_at,
        bytes=sum(one.size for one in manifest.files),
        tool="SQLite online backup",
        version_text=sqlite3.sqlite_version,
        manifest=directory / MANIFEST_NAME,
        details={},
    )


async def _database(
    ground: BackupGround, address: PostgresAddress, directory: Path, set_id: str, password: Secret | None
) -> StateCopy:
    place, engine = ground.place, ground.engines.get(address.engine)
    await asyncio.to_thread(give, directory, place.account)
    order = CopyOrder(set_id=set_id, kind=CopyKind.LOGICAL, directory=directory, databases=(address.database,))
    facts = await engine.dumps(place).copy(_access(address, password), order, _quiet)
    if facts.manifest is None:
        raise UsageError("the dump of the state store has no manifest", hint="a defect: report it")
    return StateCopy(
        engine=address.engine,
        kind=facts.kind,
        started_at=facts.started_at,
        stopped_at=facts.stopped_at,
        bytes=facts.bytes,
        tool=facts.tool,
        version_text=facts.version_text,
        manifest=facts.manifest,
        details={**facts.details, "database": address.database},
    )


def _access(address: PostgresAddress, password: Secret | None) -> Access:
    """How the store is reached, as its URL says."""
    parameters = dict(address.parameters)
    host = address.host or parameters.get("host") or _DEFAULT_HOST
    port = address.port or int(parameters.get("port", _DEFAULT_PORT))
    if address.user is None:
        raise UsageError("the state store's URL names no user", hint="write state.url: postgresql://USER@HOST/DATABASE")
    mode = parameters.get("sslmode", TlsMode.PREFER.value)
    if mode not in {one.value for one in TlsMode}:
        mode = TlsMode.PREFER.value  # allow: encrypted where the server insists, which prefer covers
    return Access(
        address=Address(host.split(",")[0], port),
        user=address.user,
        password=password,
        database=address.database,
        tls=TlsMode(mode),
        tls_ca_file=parameters.get("sslrootcert"),
        timeouts=_TIMEOUTS,
        application_name="dbre:state-backup",
    )


async def _quiet(_done: int, _total: int | None) -> None:
    """Nobody watches."""
