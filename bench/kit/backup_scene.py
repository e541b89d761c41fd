"""A PostgreSQL filled by pgbench, and an encrypted vault in a directory: what benchmarks of backups share."""

import asyncio
import hashlib
import os
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from pyrage import x25519

from dbre.app import Engines
from dbre.capabilities.backup.documents import BackupDocument, VaultDocument
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.model import BackupSet, SetState
from dbre.capabilities.backup.vault.opening import open_vault
from dbre.core.audit.signed_note import SigningKey
from dbre.core.clock import SystemClock
from dbre.core.fleet import Address, Cluster, Fleet, Instance, TlsMode
from dbre.core.ids import uuid7
from dbre.core.programs.account import give
from dbre.core.programs.run import clean_environment
from dbre.core.secrets import SecretReference
from dbre.lab.postgres import PostgresServer, find_postgres
from dbre.lab.site import Site
from dbre.ports.backup.engine import BackupPort
from dbre.ports.backup.model import CopyKind, CopyOrder, LogFile, LogKind, ParentCopy, Place
from dbre.ports.engine import Access, Timeouts

CLUSTER, VAULT = "bench", "cellar"
DEBIAN = Path("/usr/lib/postgresql/15/bin")
_TOLD_SECONDS = 0.5
MEGABYTES_A_SCALE = 15.0  # of pgbench, with indexes


async def nobody_watches(done: int, total: int | None) -> None:
    """Progress that nobody looks at."""


def processor_seconds() -> float:
    """Of this process and of the programs that it waited for; not of servers."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


class Stopwatch:
    """Seconds by the name of what took them, and seconds of processors, which other work does not lengthen much."""

    def __init__(self, whose: str = "") -> None:
        self.whose = whose
        self.seconds: dict[str, float] = {}
        self.processor: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        began, used = time.perf_counter(), processor_seconds()
        yield
        self.processor[name] = self.processor.get(name, 0.0) + processor_seconds() - used
        took = time.perf_counter() - began
        self.seconds[name] = self.seconds.get(name, 0.0) + took
        if took > _TOLD_SECONDS:
            print(f"  {self.whose} {name}: {took:.1f} s", file=sys.stderr, flush=True)

    def total(self, *names: str) -> float:
        return sum(self.seconds[name] for name in names)


@dataclass(kw_only=True)
class Scene:
    """What a benchmark has."""

    site: Site
    server: PostgresServer
    ground: BackupGround
    port: BackupPort
    root: Path
    kept: set[str] = field(default_factory=set)

    @property
    def access(self) -> Access:
        timeouts = Timeouts(connect_seconds=30, statement_seconds=600, lock_seconds=30)
        return replace(self.server.access(database="postgres"), timeouts=timeouts)

    @property
    def environment(self) -> dict[str, str]:
        """For client programs of PostgreSQL."""
        return {
            **clean_environment(self.site.directory),
            "PGHOST": self.server.address.host,
            "PGPORT": str(self.server.address.port),
            "PGUSER": self.server.superuser,
            "PGPASSWORD": self.server.password.reveal(),
            "PGDATABASE": "postgres",
        }

    async def query(self, *statements: str) -> list[tuple[object, ...]]:
        async with await self.server.connect() as connection:
            for statement in statements:
                cursor = await connection.execute(statement.encode())
            return await cursor.fetchall() if cursor.description else []

    async def run(self, *argv: str | Path, directory: Path | None = None) -> str:
        """A client program; its output."""
        return await asyncio.to_thread(
            run_checked, *argv, site=self.site, environment=self.environment, directory=directory or self.site.directory
        )

    def new_directory(self, name: str) -> Path:
        """An empty directory of the servers' account."""
        path = self.root / "copies" / name
        path.mkdir(mode=0o700)
        give(path, self.site.account)
        return path

    async def copy(self, watch: Stopwatch, *, parent: BackupSet | None = None, **given: object) -> tuple[BackupSet, Path]:
        """Copy and verify."""
        set_id = str(uuid7(SystemClock()))
        directory = self.new_directory(set_id)
        kind = CopyKind.INCREMENTAL if parent else CopyKind.FULL
        standing = None
        if parent is not None:
            standing = ParentCopy(set_id=parent.id, manifest=self.root / "copies" / parent.id / "backup_manifest")
        order = CopyOrder(set_id=set_id, kind=kind, directory=directory, parent=standing, **given)  # type: ignore[arg-type]
        with watch("copy"):
            facts = await self.port.copy(self.access, order, nobody_watches)
        with watch("verify"):
            verified = await self.port.verify(directory)
        if not verified.is_good or facts.manifest is None:
            raise RuntimeError(f"the copy has faults: {verified.faults[:5]}")
        found = BackupSet(
            id=set_id,
            cluster=CLUSTER,
            engine="postgresql",
            policy="bench",
            provider="native",
            system_id=facts.system_id,
            kind=kind,
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
        return found, directory

    async def take(self, watch: Stopwatch, *, parent: BackupSet | None = None) -> BackupSet:
        """Copy, verify and store."""
        found, directory = await self.copy(watch, parent=parent)
        with watch("store"):
            async with open_vault(self.ground, VAULT) as vault:
                stored = await vault.put_set(found, directory, nobody_watches)
        return replace(found, state=SetState.SEALED, bytes_stored=stored.bytes_stored, vaults=(VAULT,))

    async def keep_log(self, watch: Stopwatch) -> int:
        """End the present log file and put every ended one into the vault; how many."""
        ((ended, system),) = await self.query(
            "SELECT pg_walfile_name(pg_switch_wal()), system_identifier::text FROM pg_control_system()"
        )
        count = 0
        async with open_vault(self.ground, VAULT) as vault:
            for path in sorted((self.server.data_directory / "pg_wal").iterdir()):
                if path.name in self.kept or not path.is_file() or path.name > str(ended):
                    continue
                file = log_file(self.port, path)
                if file is None or file.kind is not LogKind.SEGMENT:
                    continue
                with watch("put_log"):
                    await vault.put_log(CLUSTER, str(system), file, path)
                self.kept.add(path.name)
                count += 1
        return count


def log_file(port: BackupPort, path: Path) -> LogFile | None:
    """What a file of pg_wal is."""
    data = path.read_bytes()
    return port.log_file(path.name, size=len(data), sha256=hashlib.sha256(data).hexdigest(), segment_bytes=1 << 24)


def run_checked(*argv: str | Path, site: Site, environment: Mapping[str, str], directory: Path) -> str:
    """A program as the servers' account; its output. Raises: RuntimeError with what it said."""
    done = subprocess.run(
        [str(one) for one in argv],
        cwd=directory,
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        **site.account.credentials(),
    )
    if done.returncode != 0:
        raise RuntimeError(f"{argv[0]} ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


@asynccontextmanager
async def backup_scene(
    site: Site, *, version: int, megabytes: int, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Scene]:
    """A server with about so many megabytes of pgbench in it, its fsync as in production, and an empty vault."""
    binaries = await find_postgres(account=site.account, cache=site.cache, version=version)
    given = {
        "shared_buffers": "128MB",
        "max_wal_size": "4GB",
        "wal_keep_size": "4GB",
        "max_wal_senders": "10",
        **(settings or {}),
    }
    server = PostgresServer(f"source-{version}", site, binaries=binaries, settings=given)
    root = site.directory / f"backups-{version}"
    for path in (root, root / "copies"):
        path.mkdir(mode=0o711)
        path.chmod(0o711)
    await server.start()
    try:
        ground = _ground(site, server, root)
        port = ground.engines.get("postgresql").backups(ground.place)
        scene = Scene(site=site, server=server, ground=ground, port=port, root=root)
        scale = max(1, round(megabytes / MEGABYTES_A_SCALE))
        await scene.run(DEBIAN / "pgbench", "-i", "-q", "-s", str(scale))
        await scene.query("CHECKPOINT")
        yield scene
    finally:
        await server.stop()


def vault_in(directory: Path) -> VaultDocument:
    """An encrypted vault in a directory, which can be read here; the keys lie beside it."""
    identity, escrow = x25519.Identity.generate(), x25519.Identity.generate()
    write_private(directory / "identity.age", str(identity))
    (directory / VAULT).mkdir(mode=0o700)
    return VaultDocument.model_validate(
        {
            "name": VAULT,
            "kind": "filesystem",
            "path": str(directory / VAULT),
            "recipients": [str(identity.to_public()), str(escrow.to_public())],
            "identity": SecretReference.parse(f"file:{directory / 'identity.age'}"),
        }
    )


def ground_of(site: Site, vault: VaultDocument, fleet: Fleet, directory: Path) -> BackupGround:
    """What backups stand on, without a state store."""
    key = SigningKey.generate("bench/dbre-audit/0001")

    async def find_signing_key() -> SigningKey | None:
        return key

    return BackupGround(
        fleet=fleet,
        engines=Engines(),
        clock=SystemClock(),
        store=None,
        settings=BackupDocument(),
        vaults=(vault,),
        directory=directory,
        find_place=lambda: Place(account=site.account, cache=site.cache),
        find_signing_key=find_signing_key,
    )


def _ground(site: Site, server: PostgresServer, root: Path) -> BackupGround:
    address = Address.parse(str(server.address), default_port=5432)
    cluster = Cluster(
        name=CLUSTER,
        environment="bench",
        engine="postgresql",
        instances=(Instance(name=f"{CLUSTER}-1", cluster=CLUSTER, address=address),),
        endpoints=(),
        databases=("postgres",),
        user=server.superuser,
        password=server.password,
        tls=TlsMode.DISABLE,
        tls_ca_file=None,
    )
    return ground_of(site, vault_in(root), Fleet(clusters=(cluster,)), root / "backup")


def write_private(path: Path, text: str) -> None:
    """A file that only we can read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{text}\n")
