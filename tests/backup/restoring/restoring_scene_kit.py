"""A living cluster with a vault, a state store and a ledger of what its client was told; on real servers and real files."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from pyrage import x25519

from dbre.app import Engines
from dbre.capabilities.backup.catalog.clock import ClockSample, insert_samples
from dbre.capabilities.backup.catalog.loading import load_catalog
from dbre.capabilities.backup.catalog.logs import insert_log
from dbre.capabilities.backup.catalog.sets import insert_set
from dbre.capabilities.backup.documents import BackupDocument, VaultDocument
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.model import BackupSet, Catalog, LogState, SetState, StoredLog
from dbre.capabilities.backup.vault.opening import open_vault
from dbre.core.audit.signed_note import SigningKey
from dbre.core.clock import SystemClock
from dbre.core.fleet import Address, Cluster, Fleet, Instance, TlsMode
from dbre.core.ids import uuid7
from dbre.core.programs.account import Account
from dbre.core.secrets import Secret, SecretReference
from dbre.core.store import Store
from dbre.lab.postgres import PostgresServer
from dbre.lab.site import Site
from dbre.ports.backup.engine import BackupPort
from dbre.ports.backup.model import CopyKind, CopyOrder, LogKind, ParentCopy, Place
from dbre.ports.engine import Timeouts
from dbre.testing.small_log import LOG_FILE_BYTES, make_log_small

CLUSTER = "orders"
SEGMENT = LOG_FILE_BYTES


@dataclass(frozen=True, slots=True)
class Entry:
    """One row that the client was told is committed; ``before`` and ``after`` are the server's clock around the commit."""

    id: int
    before: datetime
    after: datetime


@dataclass(kw_only=True)
class Scene:
    """What a test has."""

    server: PostgresServer
    ground: BackupGround
    given: Mapping[str, Any]
    port: BackupPort
    store: Store
    root: Path
    system_id: str = ""
    ledger: list[Entry] = field(default_factory=list)
    sets: list[BackupSet] = field(default_factory=list)
    kept: set[str] = field(default_factory=set)

    async def query(self, text: str, database: str = "postgres") -> list[tuple[object, ...]]:
        async with await psycopg.AsyncConnection.connect(**self.login(database), autocommit=True) as connection:
            cursor = await connection.execute(sql.SQL(text))  # type: ignore[arg-type]
            return await cursor.fetchall() if cursor.description else []

    def login(self, database: str) -> dict[str, object]:
        access = self.server.access(database=database)
        assert access.password is not None
        return {
            "host": access.address.host,
            "port": access.address.port,
            "user": access.user,
            "password": access.password.reveal(),
            "dbname": database,
        }

    async def write(self, count: int, *, pause: float = 0.0) -> None:
        """Commit rows one by one, and note what the server says of each."""
        async with await psycopg.AsyncConnection.connect(**self.login("postgres"), autocommit=True) as connection:
            for _ in range(count):
                number = len(self.ledger) + 1
                before = await _clock(connection)
                await connection.execute("INSERT INTO ledger (id, pad) VALUES (%s, repeat('x', 200))", [number])
                self.ledger.append(Entry(number, before, await _clock(connection)))
                await asyncio.sleep(pause)

    def visible_at(self, moment: datetime) -> tuple[set[int], set[int]]:
        """Rows that must be there at a moment, and those that may be."""
        must = {one.id for one in self.ledger if one.after <= moment}
        return must, {one.id for one in self.ledger if one.before <= moment}

    async def take(self, parent: BackupSet | None = None, vault: str = "cellar") -> BackupSet:
        """Copy, store in the vault, seal, with all log that makes it consistent."""
        set_id = str(uuid7(SystemClock()))
        directory = self.root / "copies" / set_id
        directory.mkdir(mode=0o700, parents=True)
        (self.root / "copies").chmod(0o711)
        account = self.ground.place.account
        if account.switch:
            import os

            os.chown(directory, account.uid, account.gid)
        standing = None
        if parent is not None:
            standing = ParentCopy(set_id=parent.id, manifest=self.root / "copies" / parent.id / "backup_manifest")
        order = CopyOrder(
            set_id=set_id,
            kind=CopyKind.INCREMENTAL if parent else CopyKind.FULL,
            directory=directory,
            parent=standing,
            verifies_checksums=False,
        )
        facts = await self.port.copy(self.access, order, _no_progress)
        assert facts.manifest is not None
        found = BackupSet(
            id=set_id,
            cluster=CLUSTER,
            engine="postgresql",
            policy="all",
            provider="native",
            system_id=facts.system_id,
            kind=order.kind,
            parent_id=parent.id if parent else None,
            state=SetState.VERIFIED,
            start=facts.start,
            stop=facts.stop,
            started_at=facts.started_at,
            stopped_at=facts.stopped_at,
            version_text=facts.version_text,
            tool=facts.tool,
            checksums=facts.checksums,
            bytes_source=facts.bytes,
            bytes_stored=None,
            manifest_sha256=hashlib.sha256(facts.manifest.read_bytes()).hexdigest(),
        )
        async with open_vault(self.ground, vault) as open_one:
            stored = await open_one.put_set(found, directory, _no_progress)
        found = replace(found, state=SetState.SEALED, bytes_stored=stored.bytes_stored, vaults=(vault,))
        async with self.store.begin() as connection:
            await insert_set(connection, found)
        self.sets.append(found)
        self.system_id = facts.system_id
        await self.keep_log(vault=vault)
        return found

    @property
    def access(self) -> "object":
        return replace(
            self.server.access(database="postgres"),
            timeouts=Timeouts(connect_seconds=30, statement_seconds=120, lock_seconds=30),
        )

    async def keep_log(self, vault: str = "cellar") -> None:
        """End the file that is written, and put every ended one into the vault and the catalog."""
        await self.query("SELECT pg_switch_wal()")
        ((current,),) = await self.query("SELECT pg_walfile_name(pg_current_wal_lsn())")
        directory = self.server.data_directory / "pg_wal"
        async with open_vault(self.ground, vault) as open_one:
            for path in sorted(directory.iterdir()):
                if path.name in self.kept or not path.is_file() or path.name >= str(current):
                    continue
                data = path.read_bytes()
                file = self.port.log_file(
                    path.name, size=len(data), sha256=hashlib.sha256(data).hexdigest(), segment_bytes=SEGMENT
                )
                if file is None or file.kind is not LogKind.SEGMENT:
                    continue
                await open_one.put_log(CLUSTER, self.system_id, file, path)
                self.kept.add(path.name)
                one = StoredLog(
                    cluster=CLUSTER,
                    system_id=self.system_id,
                    file=file,
                    state=LogState.VAULTED,
                    received_at=datetime.now(UTC),
                    vaults=(vault,),
                )
                async with self.store.begin() as connection:
                    await insert_log(connection, one)

    async def sample(self) -> datetime:
        """Ask the server's clock and where its log ends, and note it as the log keeper does."""
        ((at, value),) = await self.query("SELECT clock_timestamp(), (pg_current_wal_flush_lsn() - '0/0')::bigint")
        assert isinstance(at, datetime)
        sample = ClockSample(cluster=CLUSTER, system_id=self.system_id, at=at, timeline=1, value=int(str(value)))
        async with self.store.begin() as connection:
            await insert_samples(connection, [sample])
        return at

    async def catalog(self) -> Catalog:
        return await load_catalog(self.store, CLUSTER)

    def random_moments(self, count: int, *, seed: int) -> Sequence[datetime]:
        """Moments between the end of the first set and the last acknowledged row."""
        assert self.sets[0].stopped_at is not None
        first, last = self.sets[0].stopped_at, self.ledger[-1].before
        drawn = random.Random(seed)
        return [first + (last - first) * drawn.uniform(0.001, 0.999) for _ in range(count)]


async def _clock(connection: psycopg.AsyncConnection[tuple[object, ...]]) -> datetime:
    row = await (await connection.execute("SELECT clock_timestamp()")).fetchone()
    assert row is not None
    assert isinstance(row[0], datetime)
    return row[0]


async def _no_progress(done: int, total: int | None) -> None:
    """Nobody watches."""


@asynccontextmanager
async def scene_of(server: PostgresServer, site: Site, store: Store, root: Path) -> AsyncIterator[Scene]:
    """A cluster ``orders`` of one server, with an empty ledger and two empty vaults."""
    await make_log_small(server)
    identity, escrow = x25519.Identity.generate(), x25519.Identity.generate()
    key = SigningKey.generate("tests/dbre-audit/0001")
    for name, text in (("identity.age", str(identity)), ("key", key.reveal())):
        (root / name).write_text(f"{text}\n")
        (root / name).chmod(0o600)
    for name in ("cellar", "attic"):
        (root / name).mkdir(mode=0o700)
    access = server.access(database="postgres")
    assert access.password is not None
    (root / "password").write_text(access.password.reveal())
    (root / "password").chmod(0o600)
    given = {
        "root": str(root),
        "recipients": [str(identity.to_public()), str(escrow.to_public())],
        "address": str(access.address),
        "user": access.user,
        "account": asdict(site.account),
        "cache": str(site.cache),
    }
    ground = ground_of(given, store)
    port = ground.engines.get("postgresql").backups(ground.place)
    scene = Scene(server=server, ground=ground, given=given, port=port, store=store, root=root)
    await scene.query("CREATE TABLE ledger (id bigint PRIMARY KEY, at timestamptz DEFAULT clock_timestamp(), pad text)")
    yield scene


def ground_of(given: Mapping[str, Any], store: Store | None) -> BackupGround:
    """What backups stand on; from plain values, so that another process can have the same."""
    root = Path(given["root"])
    documents = [
        VaultDocument.model_validate(
            {
                "name": name,
                "kind": "filesystem",
                "path": str(root / name),
                "recipients": given["recipients"],
                "identity": SecretReference.parse(f"file:{root / 'identity.age'}"),
            }
        )
        for name in ("cellar", "attic")
    ]
    address = Address.parse(given["address"], default_port=5432)
    cluster = Cluster(
        name=CLUSTER,
        environment="test",
        engine="postgresql",
        instances=(Instance(name="orders-1", cluster=CLUSTER, address=address),),
        endpoints=(),
        databases=("postgres",),
        user=given["user"],
        password=Secret((root / "password").read_text()),
        tls=TlsMode.DISABLE,
        tls_ca_file=None,
    )

    async def find_signing_key() -> SigningKey | None:
        return SigningKey.parse((root / "key").read_text().strip())

    return BackupGround(
        fleet=Fleet(clusters=(cluster,)),
        engines=Engines(),
        clock=SystemClock(),
        store=store,
        settings=BackupDocument(),
        vaults=tuple(documents),
        directory=root / "backup",
        find_place=lambda: Place(account=Account(**given["account"]), cache=Path(given["cache"])),
        find_signing_key=find_signing_key,
    )
