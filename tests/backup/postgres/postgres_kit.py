"""What the tests of PostgreSQL's backups share: a server with a ledger, its log received, a chain of copies."""

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import psycopg

from dbre.engines.postgres.backup.port import PostgresBackups
from dbre.lab.postgres import PostgresServer
from dbre.lab.site import Site
from dbre.ports.backup.model import CopyFacts, Place
from dbre.ports.engine import Access

LIMIT_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the ledger as the client saw it acknowledged."""

    number: int
    xid: str
    committed_at: datetime  # of the server's clock, after the commit
    lsn: str  # flushed, after the commit


@dataclass(kw_only=True)
class Source:
    """A server, what was copied from it, and its log."""

    site: Site
    server: PostgresServer
    port: PostgresBackups
    spool: Path
    chain: list[Path] = field(default_factory=list)
    facts: list[CopyFacts] = field(default_factory=list)
    ledger: list[Entry] = field(default_factory=list)

    @property
    def access(self) -> Access:
        return self.server.access()


@dataclass
class Folder:
    """Log from a directory; a partial segment where there is no whole one."""

    directory: Path
    without: tuple[str, ...] = ()
    broken: str | None = None  # asking for this one is an error
    asked: list[str] = field(default_factory=list)

    async def fetch(self, name: str, into: Path) -> bool:
        self.asked.append(name)
        if name == self.broken:
            raise OSError("the archive is on fire")
        for candidate in (name, f"{name}.partial"):
            path = self.directory / candidate
            if name not in self.without and path.exists():
                shutil.copyfile(path, into)
                return True
        return False


def place_of(site: Site) -> Place:
    return Place(account=site.account, cache=site.cache)


async def quiet(done: int, total: int | None) -> None:
    """Take progress and say nothing."""


async def append(source: Source, count: int) -> None:
    """Commit rows one by one and note what the server acknowledged."""
    async with await source.server.connect() as connection:
        for _ in range(count):
            number = len(source.ledger) + 1
            row = await (
                await connection.execute("INSERT INTO ledger VALUES (%s) RETURNING pg_current_xact_id()::text", [number])
            ).fetchone()
            after = await (await connection.execute("SELECT clock_timestamp(), pg_current_wal_flush_lsn()::text")).fetchone()
            assert row
            assert after
            source.ledger.append(Entry(number, row[0], after[0], after[1]))


async def numbers(access: Access) -> list[int]:
    """The rows of the ledger on a server that came out of a copy."""
    connection = await psycopg.AsyncConnection.connect(
        host=access.address.host, port=access.address.port, user=access.user or "", dbname="postgres"
    )
    async with connection:
        rows = await (await connection.execute("SELECT number FROM ledger ORDER BY number")).fetchall()
    return [row[0] for row in rows]


def duplicate(directory: Path, target: Path) -> Path:
    """A copy of a copy, for a test that damages it."""
    return Path(shutil.copytree(directory, target, symlinks=True))


def rewrite(directory: Path, change: "Iterable[tuple[str, str]] | None" = None, document: object = None) -> None:
    """Forge a manifest: with another document, or with words replaced; its own checksum is right again."""
    path = directory / "backup_manifest"
    text = path.read_text() if document is None else json.dumps(document)
    if document is None:
        body = text[: text.rindex("\n", 0, len(text) - 1) + 1]
        for old, new in change or ():
            assert old in body, old
            body = body.replace(old, new, 1)
    else:
        body = text[:-1] + ",\n"
    digest = hashlib.sha256(body.encode()).hexdigest()
    path.write_text(f'{body}"Manifest-Checksum": "{digest}"}}\n')
