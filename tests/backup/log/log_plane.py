"""A control plane's part for the log, on real servers: fleet, policy, vault, store."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pyrage import x25519

from dbre.app import Engines
from dbre.capabilities.backup.catalog.sets import insert_set
from dbre.capabilities.backup.documents import BackupDocument, VaultDocument
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.log.keeper import LogKeeper
from dbre.capabilities.backup.log.known_gaps import RequestOperation
from dbre.capabilities.backup.model import BackupSet, SetState
from dbre.core.audit.signed_note import SigningKey
from dbre.core.clock import SystemClock
from dbre.core.fleet import Cluster, Fleet, Instance, TlsMode
from dbre.core.secrets import SecretReference
from dbre.core.store import Store, open_store
from dbre.lab.server import LabServer
from dbre.lab.site import Site
from dbre.ports.backup.model import ChecksumState, CopyKind, LogPosition, Place

CLUSTER = "orders"
PATIENCE = 120.0
KEY = SigningKey(name="tests/dbre-audit/0002", seed=bytes(range(32)))  # the same in every process


async def until(check: Callable[[], Awaitable[Any]], what: str, *, seconds: float = PATIENCE) -> Any:
    """Ask again and again until the answer is something."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        if found := await check():
            return found
        assert asyncio.get_running_loop().time() < deadline, f"not within {seconds:.0f} s: {what}"
        await asyncio.sleep(0.1)


def _vault(directory: Path) -> VaultDocument:
    (directory / "vault").mkdir(mode=0o700, exist_ok=True)
    identity = directory / "identity.age"
    if not identity.exists():  # the same after a restart
        identity.write_text(f"{x25519.Identity.generate()}\n")
        identity.chmod(0o600)
    mine, other = x25519.Identity.from_str(identity.read_text().strip()), x25519.Identity.generate()
    return VaultDocument.model_validate(
        {
            "name": "cellar",
            "kind": "filesystem",
            "path": str(directory / "vault"),
            "recipients": [str(mine.to_public()), str(other.to_public())],
            "identity": SecretReference.parse(f"file:{identity}"),
        }
    )


def cluster_of(servers: Sequence[LabServer], user: str | None = None) -> Cluster:
    """The cluster that these servers are, logged in to as superuser, or as somebody with the same password."""
    first = servers[0]
    return Cluster(
        name=CLUSTER,
        environment="test",
        engine=first.engine,
        instances=tuple(Instance(name=one.name, cluster=CLUSTER, address=one.address) for one in servers),
        endpoints=(),
        databases=(first.default_database,),
        user=user or first.superuser,
        password=first.password,
        tls=TlsMode.DISABLE,
        tls_ca_file=None,
    )


@dataclass(frozen=True, kw_only=True)
class Plane:
    """One control plane."""

    ground: BackupGround
    store: Store

    @asynccontextmanager
    async def keeping(self, *, request: RequestOperation | None = None) -> AsyncIterator[LogKeeper]:
        """The keeper at work."""
        keeper = LogKeeper(self.ground, request=request)
        task = asyncio.ensure_future(keeper.run())
        try:
            yield keeper
        finally:
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()


@asynccontextmanager
async def plane(
    directory: Path, servers: Sequence[LabServer], *, cache: Path, name: str = "plane", user: str | None = None, **log: object
) -> AsyncIterator[Plane]:
    """A control plane whose policy keeps the log of ``servers`` as ``log`` says."""
    home = directory / name
    home.mkdir(mode=0o711, exist_ok=True)
    vault = _vault(home)
    settings = BackupDocument.model_validate({"policies": [{"name": "all", "vaults": ["cellar"], "log": log}]})

    async def find_signing_key() -> SigningKey | None:
        return KEY

    async with open_store(f"sqlite:///{home / 'dbre.db'}", clock=SystemClock(), migrate=True) as store:
        yield Plane(
            ground=BackupGround(
                fleet=Fleet(clusters=(cluster_of(servers, user),)),
                engines=Engines(),
                clock=SystemClock(),
                store=store,
                settings=settings,
                vaults=(vault,),
                directory=home / "backup",
                find_place=lambda: Place(account=servers[0].site.account, cache=cache),
                find_signing_key=find_signing_key,
            ),
            store=store,
        )


async def sealed_set(store: Store, system_id: str, start: LogPosition, stop: LogPosition, name: str = "set-1") -> None:
    """A row for a set that was sealed; its files are of no interest here."""
    now = datetime.now(UTC)
    one = BackupSet(
        id=name,
        cluster=CLUSTER,
        engine="postgresql",
        policy="all",
        provider="native",
        system_id=system_id,
        kind=CopyKind.FULL,
        parent_id=None,
        state=SetState.SEALED,
        start=start,
        stop=stop,
        started_at=now,
        stopped_at=now,
        version_text="18.4",
        tool="pg_basebackup (PostgreSQL) 18.4",
        checksums=ChecksumState.GOOD,
        bytes_source=1,
        bytes_stored=1,
        manifest_sha256=hashlib.sha256(b"").hexdigest(),
        vaults=("cellar",),
    )
    async with store.begin() as connection:
        await insert_set(connection, one)


def vault_ground(directory: Path, site: Site) -> BackupGround:
    """A ground with one vault and nothing else."""

    async def find_signing_key() -> SigningKey | None:
        return KEY

    return BackupGround(
        fleet=Fleet(),
        engines=Engines(),
        clock=SystemClock(),
        store=None,
        settings=BackupDocument(),
        vaults=(_vault(directory),),
        directory=directory / "backup",
        find_place=lambda: Place(account=site.account, cache=site.cache),
        find_signing_key=find_signing_key,
    )


def owner_of(path: Path) -> int:
    """Who owns a file."""
    return os.lstat(path).st_uid
