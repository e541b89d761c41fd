"""Damage on the primary before the copy: the copy is true to its manifest, and all the same not what was written."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from drills_world import CLUSTER, Damaged, World, drilled, fleet_of, make_ground, policy_of, walk

from dbre.capabilities.backup.catalog.loading import load_catalog
from dbre.capabilities.backup.drilling.checks import LONG
from dbre.capabilities.backup.drilling.rows_check import RowsCheck
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.model import BackupSet, Drill, DrillVerdict, SetState
from dbre.capabilities.backup.operations.take_backup import TakeBackup
from dbre.core.clock import SystemClock
from dbre.core.errors import PrecheckFailed
from dbre.core.store import open_store
from dbre.engines.postgres import PostgresEngine
from dbre.lab.postgres import PostgresServer, find_postgres
from dbre.lab.site import Site, run_program
from dbre.ports.backup.errors import CopyFailed
from dbre.ports.backup.model import Place
from dbre.ports.restored_checks import CheckedServer, CheckOutcome, RestoredResult
from dbre.testing.fixtures import PostgresPair, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # a busy machine needs minutes for the servers of all tests

_ROWS = 2000
_NEEDLE = b"needle"
_PAGE_HEADER, _LINE_POINTER = 24, 4  # bytes; source: src/include/storage/bufpage.h
_BY_INDEX = {"name": "counted", "sql": "SELECT count(*) AS n FROM public.orders", "expect": {"n": _ROWS}}
_BY_ROW = {"name": "read", "sql": "SELECT sum(amount) AS total FROM public.orders", "expect": {"total": _ROWS}}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def unchecked(lab_site: Site) -> AsyncIterator[PostgresPair]:
    """A primary without page checksums, whose damage no log tells its replica of."""
    binaries = await find_postgres(account=lab_site.account, cache=lab_site.cache, version=15)  # with amcheck
    quiet = {"autovacuum": "off"}
    async with running(PostgresServer("unchecked", lab_site, binaries=binaries, settings=quiet)) as primary:
        await primary.stop()
        await run_program(
            [binaries.program("pg_checksums"), "--disable", "--no-sync", "-D", primary.data_directory],
            account=lab_site.account,
            directory=primary.directory,
        )
        await primary.start()
        await _fill(primary)
        replica = PostgresServer("sound", lab_site, binaries=binaries, replica_of=primary, settings=quiet)
        async with running(replica):
            yield PostgresPair(primary=primary, replica=replica)


async def _fill(server: PostgresServer) -> None:
    async with await server.connect() as connection:
        await connection.execute("CREATE DATABASE shop")
    async with await server.connect(database="shop") as connection:
        await connection.execute("CREATE EXTENSION amcheck")
        await connection.execute("CREATE TABLE orders (id bigint PRIMARY KEY, amount int NOT NULL, note text NOT NULL)")
        await connection.execute(
            "INSERT INTO orders SELECT g, 1, 'needle ' || repeat('x', 600) FROM generate_series(1, %s) AS g", [_ROWS]
        )
        await connection.execute("CREATE TABLE untouched AS SELECT * FROM orders")
        await connection.execute("VACUUM (ANALYZE) orders")  # from now on the index alone can be asked how many there are


@asynccontextmanager
async def _standing_still(replica: PostgresServer) -> AsyncIterator[None]:
    """A replica that receives, and replays nothing."""
    async with await replica.connect() as connection, asyncio.timeout(60):
        await connection.execute("SELECT pg_wal_replay_pause()")
        while await (await connection.execute("SELECT pg_get_wal_replay_pause_state()")).fetchone() != ("paused",):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        try:
            yield
        finally:
            await connection.execute("SELECT pg_wal_replay_resume()")


def _flip_in_a_row(page: bytearray) -> None:
    page[page.index(_NEEDLE)] ^= 0x01


def _lose_a_row(page: bytearray) -> None:
    place = _PAGE_HEADER + 4 * _LINE_POINTER
    assert any(page[place : place + _LINE_POINTER])
    page[place : place + _LINE_POINTER] = bytes(_LINE_POINTER)


async def _heap_of(server: PostgresServer) -> Path:
    """The file of table orders, once all of it is there."""
    async with await server.connect(database="shop") as connection:
        row = await (await connection.execute("SELECT pg_relation_filepath('public.orders')")).fetchone()
        await connection.execute("CHECKPOINT")
    assert row is not None
    return server.data_directory / str(row[0])


def _damage(path: Path, damage: Callable[[bytearray], None]) -> bytes:
    """Damage the first page of a file that has an owner and a mode; gives what it was."""
    before = path.read_bytes()
    content = bytearray(before)
    damage(content)
    with path.open("r+b") as file:
        file.write(content)
    return before


@asynccontextmanager
async def _damaged(server: PostgresServer, damage: Callable[[bytearray], None]) -> AsyncIterator[None]:
    """A server that finds its file damaged when it starts; afterwards all is as it was."""
    heap = await _heap_of(server)
    await server.stop()
    before = _damage(heap, damage)
    await server.start()
    try:
        yield
    finally:
        await server.stop()
        _damage(heap, lambda content: content.__setitem__(slice(None), before))
        await server.start()


@asynccontextmanager
async def _ground(directory: Path, *servers: PostgresServer, **drill: Any) -> AsyncIterator[BackupGround]:
    """A cluster of its own whose copies hold the log that they need."""
    directory.mkdir(mode=0o711)
    policy = policy_of(log={"mode": "none"}, canary={"enabled": False}, drill=drill)
    async with open_store(f"sqlite:///{directory / 'dbre.db'}", clock=SystemClock(), migrate=True) as store:
        yield make_ground(directory, servers[0].site, store, fleet_of(*servers), policy)


def _told(found: Drill) -> list[tuple[str, str, str, str]]:
    return [(one.level, one.name, one.outcome.value, one.detail) for one in found.results]


async def _take_and_drill(pair: PostgresPair, place: Path, damage: Callable[[bytearray], None]) -> Drill:
    drill = {"checks": ["checksums", "amcheck", "rows", "queries"], "queries": [_BY_INDEX, _BY_ROW]}
    async with _ground(place, pair.primary, pair.replica, **drill) as ground:
        async with _damaged(pair.primary, damage):
            await walk(TakeBackup(ground), {"cluster": CLUSTER, "kind": "full"})
        found = await drilled(ground, target="latest", mode="fast")
    outcomes = _outcomes(found)
    assert outcomes["copies"] is CheckOutcome.PASS, _told(found)  # the copy is what the primary had
    assert outcomes["recovery"] is CheckOutcome.PASS, _told(found)
    return found


def _rows_fail(found: Drill) -> None:
    """The damaged table is named, and no other."""
    assert found.verdict is DrillVerdict.FAIL, _told(found)
    assert found.reason.startswith("L5 rows: public.orders: other rows than sound has"), _told(found)
    (rows,) = [one for one in found.results if one.name == "rows"]
    assert (rows.evidence["different"], rows.evidence["equal"]) == (["public.orders"], 1), _told(found)


def _outcomes(found: Drill) -> dict[str, CheckOutcome]:
    return {one.name: one.outcome for one in found.results}


async def test_a_byte_that_flipped_without_checksums_is_found_by_the_rows_of_the_replica(
    unchecked: PostgresPair, place: Path
) -> None:
    found = await _take_and_drill(unchecked, place, _flip_in_a_row)
    _rows_fail(found)
    (pages,) = [one for one in found.results if one.name == "checksums"]
    assert (pages.outcome, "no page checksums" in pages.detail) == (CheckOutcome.INCONCLUSIVE, True)  # nobody says sound
    assert _outcomes(found)["queries/counted"] is CheckOutcome.PASS


async def test_a_row_without_its_line_pointer_is_found_by_its_rows_though_an_index_counts_it(
    unchecked: PostgresPair, place: Path
) -> None:
    found = await _take_and_drill(unchecked, place, _lose_a_row)
    _rows_fail(found)
    assert _outcomes(found)["queries/counted"] is CheckOutcome.PASS  # an index-only scan still finds all
    (read,) = [one for one in found.results if one.name == "queries/read"]
    assert (read.outcome, read.detail) == (CheckOutcome.FAIL, f"total is {_ROWS - 1}, and must be {_ROWS}")


async def _compared(restored: PostgresServer, *instances: PostgresServer) -> RestoredResult:
    """The rows of a server, as if it came out of a backup, compared with those of a cluster."""
    engine, access = PostgresEngine(), replace(restored.access(database="shop"), timeouts=LONG)
    (cluster,) = fleet_of(*instances).clusters
    server = engine.connect(access)
    try:
        checked = CheckedServer(server=server, access=access, cluster=CLUSTER, engine=engine.name, databases=("shop",))
        port = engine.backups(Place(account=restored.site.account, cache=restored.site.cache))
        check = RowsCheck(engine=engine, cluster=cluster, port=port, reached=None, patience_seconds=1)
        (found,) = await check.run(checked)
    finally:
        await server.aclose()
    return found


async def test_a_server_of_another_moment_never_makes_a_good_backup_fail(unchecked: PostgresPair) -> None:
    primary, replica = unchecked.primary, unchecked.replica
    async with _standing_still(replica):
        async with await primary.connect(database="shop") as connection:
            await connection.execute("UPDATE untouched SET note = 'after' WHERE id = 1")
            await connection.execute("UPDATE untouched SET note = 'after' WHERE id = 2")
        lagging = await _compared(primary, replica)
        assert (lagging.outcome, lagging.evidence["different"]) == (CheckOutcome.INCONCLUSIVE, ["public.untouched"]), lagging
        assert re.match(r"public.untouched differ on sound, and it has come to transaction \d+ only", lagging.detail), lagging
        written = await _compared(replica, primary)
        assert written.outcome is CheckOutcome.INCONCLUSIVE, written
        assert "differ on unchecked, and 2 transactions began to write there since; 1 table equal" in written.detail
        both = await _compared(primary, replica, primary)
        assert (both.outcome, both.evidence["instance"]) == (CheckOutcome.PASS, "unchecked"), both
    async with asyncio.timeout(60):
        while (found := await _compared(primary, replica)).outcome is not CheckOutcome.PASS:
            assert found.outcome is CheckOutcome.INCONCLUSIVE, found
    assert found.evidence["instance"] == "sound"


async def test_a_bad_page_on_the_primary_ends_the_copy_and_there_is_nothing_to_drill(world: World, place: Path) -> None:
    heap = await _heap_of(world.server)
    async with _ground(place, world.server) as ground:
        before = _damage(heap, _flip_in_the_middle)
        try:
            with pytest.raises(CopyFailed, match=r"damaged pages.*checksum verification failed.*" + heap.name):
                await walk(TakeBackup(ground), {"cluster": CLUSTER, "kind": "full"})
        finally:
            _damage(heap, lambda content: content.__setitem__(slice(None), before))
        assert ground.store is not None
        catalog = await load_catalog(ground.store, CLUSTER)
        assert [one.state for one in catalog.sets if one.state is SetState.SEALED] == []
        with pytest.raises(PrecheckFailed, match="no sealed set"):
            await drilled(ground, target="latest", mode="fast")


async def test_a_bad_page_that_nobody_looked_at_when_it_was_copied_fails_at_l4(world: World, place: Path) -> None:
    """As ``pg_basebackup --no-verify-checksums`` leaves it: the manifest is of the damaged file."""

    def rot(copy: Path) -> None:
        path = max(copy.glob("base/*/2609"), key=lambda one: int(one.parent.name))  # pg_description of shop
        _damage(path, _flip_in_the_middle)
        _rewrite_manifest(copy / "backup_manifest", path.relative_to(copy), path.read_bytes())

    def as_copied(row: BackupSet) -> BackupSet:
        return replace(row, manifest_sha256=hashlib.sha256((place / "set" / "backup_manifest").read_bytes()).hexdigest())

    damage = Damaged(of_set=rot, of_row=as_copied)
    async with world.damaged(place, damage, drill={"checks": ["checksums"]}) as ground:
        found = await drilled(ground, target="latest", mode="fast")
    assert found.verdict is DrillVerdict.FAIL, _told(found)
    assert found.reason.startswith("L4 checksums: page_checksum pg_catalog.pg_description"), _told(found)
    assert _outcomes(found)["copies"] is CheckOutcome.PASS, _told(found)


def _flip_in_the_middle(content: bytearray) -> None:
    content[8192 - 100] ^= 0x40  # rows lie at the end of a page


def _rewrite_manifest(path: Path, name: Path, content: bytes) -> None:
    document = path.read_text()
    (old,) = re.findall(rf'"Path": "{re.escape(str(name))}".*?"Checksum": "([0-9a-f]+)"', document)
    document = document.replace(old, hashlib.sha256(content).hexdigest())
    body = document[: document.index('"Manifest-Checksum"')]
    path.write_text(f'{body}"Manifest-Checksum": "{hashlib.sha256(body.encode()).hexdigest()}"}}\n')
