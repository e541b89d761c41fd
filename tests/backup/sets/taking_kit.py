"""A real server, a real vault, a state store and a runner: what a backup needs, for tests."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from pyrage import x25519
from sqlalchemy import update

from dbre.app import Engines
from dbre.assembly import Kinds
from dbre.capabilities.backup.catalog.loading import load_catalog
from dbre.capabilities.backup.documents import BackupDocument, VaultDocument
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.model import BackupSet, Catalog
from dbre.capabilities.backup.operations import operations
from dbre.core.audit.log import AuditLog
from dbre.core.audit.signed_note import SigningKey
from dbre.core.clock import Clock, SystemClock
from dbre.core.events import EventLog
from dbre.core.fleet import Address, Cluster, Fleet, Instance, TlsMode
from dbre.core.gates.asking import Gates
from dbre.core.operation import tables
from dbre.core.operation.document import OperationsDocument
from dbre.core.operation.hooks import JournalHooks
from dbre.core.operation.insertion import NewOperation, insert_operation
from dbre.core.operation.journal import Journal
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.plan import PlannedOperation
from dbre.core.operation.planning import make_plan
from dbre.core.operation.reading import load
from dbre.core.operation.runner import OperationRunner
from dbre.core.operation.walk import WalkLimits
from dbre.core.operation.worker_identity import this_worker
from dbre.core.programs.account import choose_account
from dbre.core.secrets import Secret
from dbre.core.store import Store, open_store
from dbre.lab.server import LabServer
from dbre.ports.backup.model import Place

CLUSTER = "orders"
VAULTS = ("near", "far")


@dataclass(frozen=True, kw_only=True)
class Where:
    """Where the server of a world is, so that another process finds it, too."""

    engine: str
    host: str
    port: int
    user: str
    password: str
    database: str


def where_is(server: LabServer, *, engine: str = "postgresql", database: str = "postgres") -> Where:
    """Of a server of this test."""
    return Where(
        engine=engine,
        host=server.address.host,
        port=server.address.port,
        user=server.superuser,
        password=server.password.reveal(),
        database=database,
    )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that a world is made of, as text: a child process makes the same world of it."""

    directory: Path
    cache: Path
    source: Where
    identity: str
    signing_key: str
    policy: Mapping[str, Any] = field(default_factory=dict)
    replica: Where | None = None
    places: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # of vaults that are no directories


def settings_of(value: Mapping[str, Any]) -> Settings:
    """Settings as they come back from JSON."""
    paths = {name: Path(value[name]) for name in ("directory", "cache")}
    replica = Where(**value["replica"]) if value["replica"] else None
    return Settings(**{**value, **paths, "source": Where(**value["source"]), "replica": replica})


def settings_in(directory: Path, cache: Path, source: Where, **policy: Any) -> Settings:
    """A world in a directory that the servers' account may pass."""
    directory.mkdir(mode=0o711, parents=True, exist_ok=True)
    for name in VAULTS:
        (directory / name).mkdir(mode=0o700, exist_ok=True)
    identity = x25519.Identity.generate()
    path = directory / "identity.age"
    path.write_text(f"{identity}\n")
    path.chmod(0o600)
    key = SigningKey.generate("tests/dbre-audit/0001")
    return Settings(
        directory=directory, cache=cache, source=source, identity=str(identity), signing_key=key.reveal(), policy=policy
    )


@dataclass
class World:
    """What a test holds."""

    settings: Settings
    store: Store
    ground: BackupGround
    clock: Clock

    def runner(self, hooks: JournalHooks | None = None, *, lease: str = "30s", renewal: str = "10s") -> OperationRunner:
        return OperationRunner(
            self.store,
            Kinds(*operations(self.ground)),
            self.journal,
            Gates((), self.clock),
            self.clock,
            worker=this_worker(),
            fleet=self.ground.fleet,
            settings=OperationsDocument.model_validate({"lease": lease, "renewal": renewal}),
            hooks=hooks,
            limits=WalkLimits(forward_rounds=2, undo_rounds=2),
        )

    @property
    def journal(self) -> Journal:
        return Journal(AuditLog(self.clock), EventLog(self.clock), self.clock)

    async def plan(self, operation: str, /, **asked: Any) -> PlannedOperation:
        definition = Kinds(*operations(self.ground)).get(operation)
        return await make_plan(definition, asked, clock=self.clock, requested_by="anna")

    async def submit(self, operation: str, /, **asked: Any) -> UUID:
        new = NewOperation(planned=await self.plan(operation, **asked), requested_by="anna")
        return await self.store.grouped(
            lambda connection: insert_operation(connection, self.journal, new, actor="anna", clock=self.clock)
        )

    async def run(self, operation: str, /, **asked: Any) -> OperationRecord:
        operation_id = await self.submit(operation, **asked)
        return await self.finish(operation_id)

    async def finish(self, operation_id: UUID) -> OperationRecord:
        await self.runner().run(operation_id)
        return await self.record(operation_id)

    async def record(self, operation_id: UUID) -> OperationRecord:
        async with self.store.read() as connection:
            return await load(connection, operation_id)

    async def free(self, operation_id: UUID) -> None:
        """Let the lease of the dead run out without waiting for it."""
        row = tables.operation.c
        async with self.store.begin() as connection:
            await connection.execute(update(tables.operation).where(row.id == operation_id).values(lease_until=0.0))

    async def catalog(self) -> Catalog:
        return await load_catalog(self.store, CLUSTER)

    async def newest(self) -> BackupSet:
        return (await self.catalog()).sets[-1]

    def with_policy(self, **changes: Any) -> "World":
        settings = replace(self.settings, policy={**self.settings.policy, **changes})
        return replace(self, settings=settings, ground=make_ground(settings, self.store, self.clock))


def make_ground(settings: Settings, store: Store, clock: Clock) -> BackupGround:
    """The ground as the composition root makes it, of real engines."""
    identity = x25519.Identity.from_str(settings.identity)
    escrow = x25519.Identity.generate()

    def vault(name: str) -> VaultDocument:
        return VaultDocument.model_validate(
            {
                "name": name,
                "kind": "filesystem",
                "path": str(settings.directory / name),
                "recipients": [str(identity.to_public()), str(escrow.to_public())],
                "identity": f"file:{settings.directory / 'identity.age'}",
                "is_offsite": name == "far",
                **settings.places.get(name, {}),
            }
        )

    policy = {"name": "daily", "vaults": list(VAULTS), "log": {"mode": "none"}, **settings.policy}
    key = SigningKey.parse(settings.signing_key)

    async def find_signing_key() -> SigningKey | None:
        return key

    source = settings.source
    servers = [source, *([settings.replica] if settings.replica is not None else [])]
    cluster = Cluster(
        name=CLUSTER,
        environment="prod",
        engine=source.engine,
        instances=tuple(
            Instance(name=f"orders-{number}", cluster=CLUSTER, address=Address(one.host, one.port))
            for number, one in enumerate(servers, 1)
        ),
        endpoints=(),
        databases=(source.database,),
        user=source.user,
        password=Secret(source.password),
        tls=TlsMode.PREFER,
        tls_ca_file=None,
        labels={"environment": "prod", "cluster": CLUSTER, "engine": source.engine},
    )
    return BackupGround(
        fleet=Fleet(clusters=(cluster,)),
        engines=Engines(),
        clock=clock,
        store=store,
        settings=BackupDocument.model_validate({"policies": [policy]}),
        vaults=tuple(vault(name) for name in VAULTS),
        directory=settings.directory / "backup",
        find_place=lambda: Place(account=choose_account(os.environ), cache=settings.cache),
        find_signing_key=find_signing_key,
    )


@asynccontextmanager
async def world_of(settings: Settings, *, clock: Clock | None = None, migrate: bool = True) -> AsyncIterator[World]:
    """Open the state store of a world."""
    chosen = clock or SystemClock()
    async with open_store(f"sqlite:///{settings.directory / 'dbre.db'}", clock=chosen, migrate=migrate) as store:
        yield World(settings=settings, store=store, ground=make_ground(settings, store, chosen), clock=chosen)
