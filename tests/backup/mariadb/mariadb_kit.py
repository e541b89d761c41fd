"""What tests of MariaDB's copies share: a server with a ledger, orders, a log on disk."""

import asyncio
import hashlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncmy

from dbre.core.clock import SystemClock
from dbre.core.ids import uuid7
from dbre.core.programs.account import give
from dbre.engines.mysql.backup.port import MariaDbBackups
from dbre.lab.mariadb import MariaDbServer
from dbre.lab.site import Site
from dbre.ports.backup.engine import RecoverOrder
from dbre.ports.backup.model import CopyFacts, CopyKind, CopyOrder, LogPosition, ParentCopy, Place, RecoveryTarget
from dbre.ports.engine import Access


def place_of(site: Site) -> Place:
    return Place(account=site.account, cache=site.cache)


@contextmanager
def scratch(site: Site) -> Iterator[Path]:
    """A directory that the servers' account may enter, gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="copies-", dir=site.directory))
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def own(path: Path, site: Site) -> Path:
    """A new directory of the servers' account."""
    path.mkdir(mode=0o700)
    give(path, site.account)
    return path


async def quiet(_done: int, _total: int | None) -> None:
    """A progress that nobody watches."""


@asynccontextmanager
async def session(access: Access) -> AsyncIterator[Any]:
    where = access.address
    password = access.password.reveal() if access.password else ""
    target = (
        {"unix_socket": f"{where.host}/mysqld.sock"} if where.host.startswith("/") else {"host": where.host, "port": where.port}
    )
    connection = await asyncmy.connect(user=access.user, password=password, autocommit=True, **target)
    try:
        yield connection
    finally:
        await connection.ensure_closed()


async def run_sql(access: Access, *statements: str) -> list[list[tuple[Any, ...]]]:
    found = []
    async with session(access) as connection, connection.cursor() as cursor:
        for statement in statements:
            await cursor.execute(statement)
            found.append(list(await cursor.fetchall()) if cursor.description else [])
    return found


async def numbers(access: Access) -> list[int]:
    """The ledger, in order."""
    (rows,) = await run_sql(access, "SELECT id FROM lab.ledger ORDER BY id")
    return [row[0] for row in rows]


@dataclass
class Copies:
    """Copies of one server."""

    server: MariaDbServer
    site: Site
    directory: Path
    made: dict[str, CopyFacts] = field(default_factory=dict)

    @property
    def backups(self) -> MariaDbBackups:
        return MariaDbBackups(place_of(self.site))

    async def take(self, name: str, *, parent: str | None = None, kind: CopyKind | None = None) -> CopyFacts:
        target = own(self.directory / name, self.site)
        chosen = kind or (CopyKind.INCREMENTAL if parent else CopyKind.FULL)
        above = None
        if parent is not None:
            manifest = self.made[parent].manifest
            assert manifest is not None
            above = ParentCopy(set_id=parent, manifest=manifest)
        order = CopyOrder(set_id=str(uuid7(SystemClock())), kind=chosen, directory=target, parent=above)
        self.made[name] = await self.backups.copy(self.server.access(), order, quiet)
        return self.made[name]

    async def assemble(self, *names: str, into: str) -> Path:
        target = own(self.directory / into, self.site)
        await self.backups.assemble([self.directory / name for name in names], target, quiet)
        return target


@dataclass
class ServerLog:
    """``LogFetch`` over the server's own files, as if they had been received whole."""

    server: MariaDbServer
    server_id: int
    hidden: set[str] = field(default_factory=set)
    damage: dict[str, int] = field(default_factory=dict)  # name of a file -> offset of a byte that is flipped

    async def fetch(self, name: str, into: Path) -> bool:
        prefix, _, on_server = name.partition("-")
        source = self.server.data_directory / on_server
        if name in self.hidden or int(prefix) != self.server_id or not source.is_file():
            return False
        content = bytearray(source.read_bytes())
        if name in self.damage:
            content[self.damage[name]] ^= 1
        into.write_bytes(content)
        give(into, self.server.site.account)
        return True


def order_for(directory: Path, target: RecoveryTarget, log: Any, **rest: Any) -> RecoverOrder:
    return RecoverOrder(directory=directory, target=target, log=log, timeout_seconds=300.0, is_faithful=False, **rest)


def digest_of_tree(directory: Path) -> str:
    """One digest of all names and contents below a directory."""
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        digest.update(os.fsencode(path.relative_to(directory)) + b"\0")
        if path.is_file():
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


@dataclass
class History:
    """What happened on the server, in order: rows 1-3, full, 4-6, incremental, 7-9, a moment, 10-12, another file, 13."""

    copies: Copies
    log: ServerLog
    position: LogPosition  # after row 8
    gtid: str  # of row 9
    moment: datetime  # between 9 and 10
    server_id: int


async def write_history(server: MariaDbServer, copies: Copies) -> History:
    access = server.access()
    ((number,),) = (await run_sql(access, "SELECT @@server_id"))[0]

    async def rows(first: int, last: int) -> None:
        await run_sql(access, *(f"INSERT INTO lab.ledger VALUES ({one}, REPEAT('x', 500))" for one in range(first, last + 1)))

    await run_sql(access, "CREATE TABLE lab.ledger (id int PRIMARY KEY, filler varchar(1000)) ENGINE = InnoDB")
    await rows(1, 3)
    await copies.take("full")
    await rows(4, 6)
    await copies.take("incremental", parent="full")
    await rows(7, 8)
    position = await copies.backups.position(access)
    await rows(9, 9)
    ((gtid,),) = (await run_sql(access, "SELECT @@gtid_binlog_pos"))[0]
    await asyncio.sleep(1.1)  # the log counts whole seconds: what follows lies in another one
    moment = datetime.now(UTC)
    await asyncio.sleep(1.1)
    await rows(10, 12)
    await run_sql(access, "FLUSH BINARY LOGS")
    await rows(13, 13)
    return History(copies, ServerLog(server, number), position, gtid, moment, number)
