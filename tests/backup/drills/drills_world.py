"""A cluster that was really backed up: set, log, witnesses and clock; and copies of it in which one thing is damaged."""

import asyncio
import hashlib
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from pyrage import x25519

from dbre.app import Engines
from dbre.capabilities.backup.catalog.canaries import insert_witness
from dbre.capabilities.backup.catalog.clock import insert_samples
from dbre.capabilities.backup.catalog.logs import insert_log
from dbre.capabilities.backup.catalog.sets import insert_set
from dbre.capabilities.backup.catalog.switches import insert_switch
from dbre.capabilities.backup.documents import BackupDocument, PolicyDocument, VaultDocument
from dbre.capabilities.backup.drilling.canary_writer import CanaryWriter
from dbre.capabilities.backup.drilling.planning import Known, load_known
from dbre.capabilities.backup.drilling.recording import drill_of
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.log.keeper import LogKeeper
from dbre.capabilities.backup.model import BackupSet, Drill, StoredLog
from dbre.capabilities.backup.operations.drill_backup import DrillBackup
from dbre.capabilities.backup.operations.take_backup import TakeBackup
from dbre.capabilities.backup.vault.opening import open_vault
from dbre.core.audit.signed_note import SigningKey
from dbre.core.clock import Clock, SystemClock
from dbre.core.fleet import Cluster, Fleet, Instance, TlsMode
from dbre.core.operation.context import FencingToken, PlanContext
from dbre.core.operation.definition import Operation
from dbre.core.operation.plan import Plan, PlannedOperation, Step
from dbre.core.secrets import SecretReference
from dbre.core.store import Store, open_store
from dbre.lab.postgres import PostgresServer
from dbre.lab.site import Site
from dbre.ports.backup.model import LogKind, Place
from dbre.testing.small_log import LOG_FILE_BYTES, make_log_small

__all__ = ["CLUSTER", "Damaged", "World", "drilled", "living_world", "policy_of", "wait_for"]

CLUSTER = "orders"
_LIMIT_SECONDS = 180.0
_KEY = SigningKey.generate("tests/dbre-audit/0001")
_OPERATIONS, _ESCROW = x25519.Identity.generate(), x25519.Identity.generate()
QUERY = {"name": "enough-orders", "sql": "SELECT count(*) AS n FROM public.orders", "at_least": {"n": 1000}}


async def wait_for(what: str, look: Callable[[], Awaitable[Any]]) -> Any:
    """What ``look`` gives once it gives something."""
    end = time.monotonic() + _LIMIT_SECONDS
    while True:
        found = await look()
        if found:
            return found
        assert time.monotonic() < end, f"waited {_LIMIT_SECONDS:.0f} s for {what}"
        await asyncio.sleep(0.1)


def policy_of(**changes: Any) -> PolicyDocument:
    values: dict[str, Any] = {
        "name": "all",
        "vaults": ["near"],
        "log": {"mode": "stream", "seal_after": "1s"},
        "canary": {"enabled": True, "interval": "1s"},
        "drill": {"queries": [QUERY]},
    }
    return PolicyDocument.model_validate(values | changes)


def vault_document(directory: Path) -> VaultDocument:
    """A filesystem vault below a directory, with the identity that reads it; another process finds both there."""
    path, key = directory / "vault", directory / "identity.age"
    path.mkdir(mode=0o700, exist_ok=True)
    if not key.exists():
        key.write_text(f"{_OPERATIONS}\n")
        key.chmod(0o600)
    return VaultDocument.model_validate(
        {
            "name": "near",
            "kind": "filesystem",
            "path": str(path),
            "recipients": [str(_OPERATIONS.to_public()), str(_ESCROW.to_public())],
            "identity": SecretReference.parse(f"file:{key}"),
        }
    )


def fleet_of(*servers: PostgresServer) -> Fleet:
    cluster = Cluster(
        name=CLUSTER,
        environment="test",
        engine="postgresql",
        instances=tuple(Instance(name=one.name, cluster=CLUSTER, address=one.address) for one in servers),
        endpoints=(),
        databases=("shop",),
        user=servers[0].superuser,
        password=servers[0].password,
        tls=TlsMode.DISABLE,
        tls_ca_file=None,
    )
    return Fleet(clusters=(cluster,))


def make_ground(
    directory: Path, site: Site, store: Store, fleet: Fleet, policy: PolicyDocument, **changes: Any
) -> BackupGround:
    signing = directory / "signing.key"
    if not signing.exists():
        signing.write_text(_KEY.reveal())
        signing.chmod(0o600)

    async def find_signing_key() -> SigningKey:
        return SigningKey.parse(signing.read_text())

    work = directory / "backup"
    work.mkdir(mode=0o711, exist_ok=True)
    return BackupGround(
        fleet=fleet,
        engines=Engines(),
        clock=SystemClock(),
        store=store,
        settings=BackupDocument(policies=[policy]),
        vaults=(vault_document(directory),),
        directory=work,
        find_place=lambda: Place(account=site.account, cache=site.cache),
        find_signing_key=find_signing_key,
        **changes,
    )


@dataclass(kw_only=True)
class WalkedStep:
    """Implements ``StepContext`` for one step, without a journal."""

    plan: Plan
    step: Step
    results: Mapping[str, Mapping[str, Any]]
    token: FencingToken
    clock: Clock = field(default_factory=SystemClock)
    result: Mapping[str, Any] = field(default_factory=dict)
    requested_by: str = "somebody"
    application_name: str = "dbre:test"
    notes: list[str] = field(default_factory=list)

    @property
    def input(self) -> Mapping[str, Any]:
        return self.step.input

    def tuning(self, name: str) -> Any:
        return {"log-wait": 90.0}[name]

    async def checkpoint(self) -> None: ...

    async def progress(self, done: float, total: float | None, unit: str) -> None: ...

    async def note(self, text: str) -> None:
        self.notes.append(text)

    async def run_child(self, kind: str, asked: Mapping[str, Any], *, turn: int = 0) -> Any:
        raise NotImplementedError


async def walk(operation: Operation[Any], asked: Mapping[str, Any], *, number: UUID | None = None) -> dict[str, Any]:
    """Plan and do every step in order; what they gave, as JSON gives it back."""
    given = operation.document.model_validate(asked)
    plan = await operation.plan(PlanContext(clock=SystemClock(), requested_by="somebody"), given)
    made = PlannedOperation(
        kind=operation.kind, definition_version=operation.version, input=given.model_dump(mode="json"), plan=plan
    )
    plan = PlannedOperation.from_document(made.document()).plan
    token, results = FencingToken(number or uuid4(), 1), {}
    for step in plan.steps:
        context = WalkedStep(plan=plan, step=step, results=dict(results), token=token)
        results[step.name] = dict(await operation.handlers()[step.handler].work(operation, context) or {})
    return results


async def drilled(ground: BackupGround, *, number: UUID | None = None, **asked: Any) -> Drill:
    """Make a drill and give what it found."""
    results = await walk(DrillBackup(ground), {"cluster": CLUSTER, **asked}, number=number)
    return drill_of(results["prove"])


@dataclass(kw_only=True)
class World:
    """What the living cluster left behind, with every file in the clear, so that it can be put away again with damage."""

    directory: Path
    site: Site
    fleet: Fleet
    known: Known
    set_id: str
    middle: datetime  # a moment between two halves of the ledger
    middle_rows: int  # of table orders then
    rows: int  # of table orders at the end
    ended_at: datetime
    server: PostgresServer

    @property
    def plain_set(self) -> Path:
        return self.directory / "plain" / "set"

    @property
    def segments(self) -> list[StoredLog]:
        """Finished log files that recovery from the set reads."""
        newest = self.known.catalog.get(self.set_id)
        assert newest is not None
        assert newest.start is not None
        logs = [one for one in self.known.catalog.logs if one.file.kind is LogKind.SEGMENT]
        return [one for one in logs if one.file.end > newest.start.value]

    def plain_log(self, one: StoredLog) -> Path:
        return self.directory / "plain" / one.file.name

    @asynccontextmanager
    async def damaged(self, directory: Path, damage: "Damaged | None" = None, **policy: Any) -> AsyncIterator[BackupGround]:
        """A ground of its own on a vault of its own, into which everything was put after ``damage`` was done to it."""
        damage = damage or Damaged()
        directory.mkdir(mode=0o711)
        url = f"sqlite:///{directory / 'dbre.db'}"
        async with open_store(url, clock=SystemClock(), migrate=True) as store:
            ground = make_ground(directory, self.site, store, self.fleet, policy_of(**policy), **damage.ground)
            if damage.is_of_what_is_stored:
                one, logs = await self._store_again(ground, directory, damage)
            else:
                one, logs = await self._copy_vault(directory)
            async with store.begin() as connection:
                await insert_set(connection, one)
                for log in logs:
                    await insert_log(connection, log)
                for switch in self.known.catalog.switches:
                    await insert_switch(connection, switch)
                await insert_samples(connection, damage.of_samples(list(self.known.samples)))
                for witness in damage.of_witnesses(list(self.known.witnesses)):
                    await insert_witness(connection, witness)
            damage.of_vault(directory / "vault")
            yield ground

    async def _copy_vault(self, directory: Path) -> tuple[BackupSet, list[StoredLog]]:
        one = self.known.catalog.get(self.set_id)
        assert one is not None
        await asyncio.to_thread(shutil.copytree, self.directory / "vault", directory / "vault", dirs_exist_ok=True)
        return one, list(self.known.catalog.logs)

    async def _store_again(self, ground: BackupGround, directory: Path, damage: "Damaged") -> tuple[BackupSet, list[StoredLog]]:
        copy, logs = directory / "set", []
        await asyncio.to_thread(shutil.copytree, self.plain_set, copy)
        damage.of_set(copy)
        async with open_vault(ground, "near") as vault:
            one = self.known.catalog.get(self.set_id)
            assert one is not None
            one = damage.of_row(one)
            if not damage.drops_set:
                await vault.put_set(one, copy)
            for log in self.known.catalog.logs:
                path = directory / log.file.name
                shutil.copyfile(self.plain_log(log), path)
                if damage.of_log(log, path):
                    digest = hashlib.sha256(path.read_bytes()).hexdigest()
                    stored = replace(log, file=replace(log.file, sha256=digest, size=path.stat().st_size))
                    if log.file.name not in damage.drops_objects:
                        await vault.put_log(CLUSTER, log.system_id, stored.file, path, last_commit_at=log.last_commit_at)
                    logs.append(stored)
                path.unlink()
        shutil.rmtree(copy)
        return one, logs


def _nothing(_: Path) -> None: ...


def _same(one: Any) -> Any:
    return one


def _sound(_: StoredLog, __: Path) -> bool:
    return True


@dataclass(kw_only=True)
class Damaged:
    """What is done to a copy of the world; by default nothing."""

    of_set: Callable[[Path], None] = _nothing  # before it is put into the vault
    of_log: Callable[[StoredLog, Path], bool] = _sound
    of_row: Callable[[Any], Any] = _same
    of_samples: Callable[[list[Any]], list[Any]] = _same
    of_witnesses: Callable[[list[Any]], list[Any]] = _same
    of_vault: Callable[[Path], None] = _nothing  # what lies there encrypted
    drops_set: bool = False
    drops_objects: tuple[str, ...] = ()  # log files that the catalog names and the vault has not
    ground: dict[str, Any] = field(default_factory=dict)

    @property
    def is_of_what_is_stored(self) -> bool:
        """Whether the vault gets something else than the world's own vault has; else a copy of that is enough."""
        usual = (self.of_set, self.of_log, self.of_row) == (_nothing, _sound, _same)
        return not usual or self.drops_set or bool(self.drops_objects)


@asynccontextmanager
async def living_world(site: Site, server: PostgresServer, directory: Path) -> AsyncIterator[World]:
    """Back up a server that is written to, and end with everything in the clear."""
    directory.mkdir(mode=0o711, exist_ok=True)
    await make_log_small(server)
    fleet = fleet_of(server)
    async with open_store(f"sqlite:///{directory / 'dbre.db'}", clock=SystemClock(), migrate=True) as store:
        ground = make_ground(directory, site, store, fleet, policy_of())
        async with await server.connect() as connection:
            await connection.execute("CREATE DATABASE shop")
        async with await server.connect(database="shop") as connection:
            await connection.execute("CREATE TABLE orders (id bigint PRIMARY KEY, note text NOT NULL)")
            await connection.execute("INSERT INTO orders SELECT g, md5(g::text) FROM generate_series(1, 5000) AS g")
        helpers = [asyncio.create_task(LogKeeper(ground).run()), asyncio.create_task(CanaryWriter(ground).run())]
        try:
            await wait_for("a canary", lambda: _witnesses(store))
            taken = await walk(TakeBackup(ground), {"cluster": CLUSTER})
            middle, middle_rows, rows = await _write(server, store)
            known = await wait_for("the log of the second half", lambda: _complete(store, server))
        finally:
            for one in helpers:
                one.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
        ended_at = datetime.now(UTC)
        world = World(
            directory=directory, site=site, fleet=fleet, known=known, set_id=taken["seal"]["set"], middle=middle,
            middle_rows=middle_rows, rows=rows, ended_at=ended_at, server=server,
        )  # fmt: skip
        await _unpack(ground, world)
    yield world


async def _witnesses(store: Store) -> Any:
    return (await load_known(store, CLUSTER)).witnesses


async def _write(server: PostgresServer, store: Store) -> tuple[datetime, int, int]:
    """Rows in many commits, with a moment in the middle at which nothing was written."""

    async def canaries(count: int) -> None:
        known = len(await _witnesses(store))
        await wait_for("more canaries", lambda: _more_than(store, known + count - 1))

    async with await server.connect(database="shop") as connection:

        async def some(first: int) -> None:
            for number in range(first, first + 400):
                await connection.execute("INSERT INTO orders VALUES (%s, repeat('x', 200))", [number])

        await some(10_000)
        await canaries(2)
        row = await (await connection.execute("SELECT clock_timestamp(), count(*) FROM public.orders")).fetchone()
        assert row is not None
        await connection.execute("SELECT pg_switch_wal()")
        await canaries(2)
        await some(20_000)
        await connection.execute("SELECT pg_switch_wal()")
        await some(30_000)
        await canaries(1)
        last = await (await connection.execute("SELECT count(*) FROM public.orders")).fetchone()
        await connection.execute("SELECT pg_switch_wal()")
        assert last is not None
        return row[0].astimezone(UTC), row[1], last[0]


async def _more_than(store: Store, count: int) -> bool:
    return len(await _witnesses(store)) > count


async def _complete(store: Store, server: PostgresServer) -> Known | None:
    """The catalog once the log reaches as far as the last row, in the vault."""
    known = await load_known(store, CLUSTER)
    async with await server.connect() as connection:
        row = await (await connection.execute("SELECT (pg_current_wal_lsn() - '0/0')::bigint")).fetchone()
        assert row is not None
    vaulted = max((one.file.end for one in known.catalog.logs if one.vaults), default=0)
    return known if vaulted >= row[0] // LOG_FILE_BYTES * LOG_FILE_BYTES else None


async def _unpack(ground: BackupGround, world: World) -> None:
    plain = world.directory / "plain"
    plain.mkdir(mode=0o711)
    async with open_vault(ground, "near") as vault:
        await vault.fetch_set(world.set_id, world.plain_set)
        for one in world.known.catalog.logs:
            assert await vault.fetch_log(one.system_id, one.file.name, world.plain_log(one)), one.file.name
