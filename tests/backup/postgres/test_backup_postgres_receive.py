"""The log as it is received: nothing is lost by disasters, and a gap is told as what it is."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import postgres_kit as kit
import pytest

from dbre.core.errors import Conflict, Unreachable, UsageError
from dbre.engines.postgres.backup.port import PostgresBackups
from dbre.engines.postgres.backup.receiving import PostgresReceiver
from dbre.engines.postgres.backup.wal_header import read_wal_header
from dbre.lab.postgres import PostgresServer
from dbre.ports.backup.engine import LogReceiver, ReceiveOrder, RecoverOrder
from dbre.ports.backup.errors import LogGap
from dbre.ports.backup.model import CopyKind, CopyOrder, LogKind, RecoveryTarget, TargetKind
from dbre.testing.fixtures import PostgresPair

SEGMENT = 16 << 20


async def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + kit.LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


@asynccontextmanager
async def receiving(receiver: LogReceiver) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(receiver.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_server_that_burns_down_loses_nothing_that_was_acknowledged_while_the_receiver_confirms(
    fresh_postgres: PostgresServer, room: Path
) -> None:
    server = fresh_postgres
    port = PostgresBackups(kit.place_of(server.site))
    source = kit.Source(site=server.site, server=server, port=port, spool=server.site.make_directory(room / "spool"))
    receiver = port.receiver(source.access, ReceiveOrder(spool=source.spool, name="dbre_sync", is_synchronous=True))
    full = server.site.make_directory(room / "full")
    async with receiving(receiver):
        await until(lambda: list(source.spool.glob("*.partial")))
        async with await server.connect() as connection:
            await connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'dbre_sync'")
            await connection.execute("SELECT pg_reload_conf()")
            await connection.execute("CREATE TABLE ledger (number integer PRIMARY KEY)")
        await port.copy(source.access, CopyOrder(set_id="x", kind=CopyKind.FULL, directory=full), kit.quiet)
        writing = asyncio.create_task(kit.append(source, 100_000))
        await until(lambda: len(source.ledger) > 50)
        position = port.parse_position(source.ledger[-1].lsn, timeline=1)
        await until(lambda: (found := receiver.flushed()) is not None and found >= position)
        await server.kill()
        with contextlib.suppress(Exception):
            await writing
    acknowledged = [entry.number for entry in source.ledger]
    await port.assemble([full], room / "data", kit.quiet)
    order = RecoverOrder(directory=room / "data", target=RecoveryTarget(kind=TargetKind.LATEST), log=kit.Folder(source.spool))
    async with port.recover(order) as restored:
        rows = await kit.numbers(restored.access)
    assert rows[: len(acknowledged)] == acknowledged
    assert len(rows) - len(acknowledged) <= 1, "one commit can be on its way"


async def test_a_new_slot_keeps_log_from_its_first_moment_and_a_killed_receiver_goes_on_without_a_gap(
    fresh_postgres: PostgresServer, room: Path
) -> None:
    server = fresh_postgres
    port = PostgresBackups(kit.place_of(server.site))
    spool = server.site.make_directory(room / "spool")
    receiver = port.receiver(server.access(), ReceiveOrder(spool=spool, name="dbre_killed"))
    async with receiving(receiver) as task:
        await until(lambda: list(spool.glob("*.partial")))
        os.kill(_receiver_of(spool), signal.SIGKILL)
        with pytest.raises(Unreachable, match="pg_receivewal was ended by signal 9"):
            await task
    async with await server.connect() as connection:
        row = await (await connection.execute("SELECT restart_lsn FROM pg_replication_slots")).fetchone()
        assert row is not None
        assert row[0] is not None
        for _ in range(3):
            await connection.execute("SELECT pg_logical_emit_message(true, 'x', 'y'), pg_switch_wal()")
        await connection.execute("CHECKPOINT")
    end = await port.position(server.access())
    async with receiving(receiver):
        await until(lambda: (found := receiver.flushed()) is not None and found.value >= end.value - end.value % SEGMENT)
    files = sorted(path for path in spool.iterdir() if not path.name.endswith(".partial"))
    starts = [
        file.start for path in files if (file := port.log_file(path.name, size=SEGMENT, sha256="", segment_bytes=SEGMENT))
    ]
    assert len(starts) >= 3
    assert starts == list(range(starts[0], starts[0] + len(starts) * SEGMENT, SEGMENT))
    header = read_wal_header(files[0])
    assert header is not None
    assert header.system_id == (await port.survey(server.access())).system_id
    assert (header.major, header.segment_bytes, header.position) == (server.binaries.version, SEGMENT, starts[0])


def _receiver_of(spool: Path) -> int:
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (path / "cmdline").read_bytes()
            if b"pg_receivewal" in words and str(spool).encode() in words:
                return int(path.name)
    raise AssertionError("there is none")


async def test_a_receiver_follows_a_promotion_over_the_switch_of_timelines(postgres_pair: PostgresPair, room: Path) -> None:
    pair = postgres_pair
    port = PostgresBackups(kit.place_of(pair.primary.site))
    spool = pair.primary.site.make_directory(room / "spool")
    receiver = port.receiver(pair.replica.access(), ReceiveOrder(spool=spool, name="dbre_follows"))
    async with receiving(receiver) as task:
        await until(lambda: task.done() or list(spool.glob("*.partial")))
        async with await pair.primary.connect() as connection:
            await connection.execute("CREATE TABLE t AS SELECT 1 AS i")
        await pair.primary.stop()
        async with await pair.replica.connect() as connection:
            await connection.execute("SELECT pg_promote()")
            await connection.execute("SELECT pg_logical_emit_message(true, 'x', 'y'), pg_switch_wal()")
        await until(lambda: task.done() or (spool / "00000002.history").exists())
        end = await port.position(pair.replica.access())
        assert end.timeline == 2
        await until(lambda: task.done() or list(spool.glob("00000002" + "?" * 16)))
        assert not task.done(), task.exception()
    names = {path.name for path in spool.iterdir()}
    kinds = {name: port.log_file(name, size=SEGMENT, sha256="", segment_bytes=SEGMENT) for name in names}
    assert kinds["00000002.history"] is not None
    assert kinds["00000002.history"].kind is LogKind.HISTORY


async def test_a_slot_that_was_invalidated_is_a_gap_and_not_tried_again(fresh_postgres: PostgresServer, room: Path) -> None:
    server = fresh_postgres
    port = PostgresBackups(kit.place_of(server.site))
    spool = server.site.make_directory(room / "spool")
    receiver = port.receiver(server.access(), ReceiveOrder(spool=spool, name="dbre_lost"))
    async with receiving(receiver):
        await until(lambda: list(spool.glob("*.partial")))
    async with await server.connect() as connection:
        await connection.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
        await connection.execute("ALTER SYSTEM SET min_wal_size = '32MB'")
        await connection.execute("ALTER SYSTEM SET max_wal_size = '32MB'")
        await connection.execute("SELECT pg_reload_conf()")
        for _ in range(6):
            await connection.execute("SELECT pg_logical_emit_message(true, 'x', 'y'), pg_switch_wal()")
        await connection.execute("CHECKPOINT")
        row = await (await connection.execute("SELECT wal_status FROM pg_replication_slots")).fetchone()
    assert row == ("lost",)
    with pytest.raises(LogGap, match="has thrown away log that slot dbre_lost still needed"):
        await receiver.run()
    async with await server.connect() as connection:
        await connection.execute("SELECT pg_drop_replication_slot('dbre_lost')")
    with pytest.raises(LogGap, match="cannot give the log that comes next"):
        await receiver.run()  # a new slot does not bring back what is gone


async def test_two_receivers_of_one_slot_are_told_apart(
    newest: kit.Source, room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dbre.engines.postgres.backup.receiving._TAKEN_SECONDS", 0.1)
    spools = [newest.site.make_directory(room / name) for name in ("first", "second")]
    first, second = (newest.port.receiver(newest.access, ReceiveOrder(spool=one, name="dbre_one")) for one in spools)
    async with receiving(first):
        await until(lambda: list(spools[0].glob("*.partial")))
        with pytest.raises(Conflict, match="in use by somebody else"):
            await second.run()
    assert not list(spools[1].iterdir())


async def test_a_spool_of_another_cluster_is_never_written_to(newest: kit.Source, oldest: kit.Source, room: Path) -> None:
    before = sorted(oldest.spool.iterdir())
    order = ReceiveOrder(spool=oldest.spool, name="dbre_mistaken")
    with pytest.raises(Conflict, match=f"holds log of system {oldest.facts[0].system_id}"):
        await newest.port.receiver(newest.access, order).run()
    assert sorted(oldest.spool.iterdir()) == before


async def test_impossible_receivers_are_refused(newest: kit.Source, room: Path) -> None:
    spool = newest.site.make_directory(room / "spool")
    with pytest.raises(UsageError, match="cannot be the name"):
        newest.port.receiver(newest.access, ReceiveOrder(spool=spool, name="Robert'); DROP"))
    gone = replace(newest.access, address=replace(newest.access.address, port=1))
    receiver = PostgresReceiver(newest.port._toolbox, gone, ReceiveOrder(spool=spool, name="dbre_gone"))
    assert receiver.flushed() is None
    with pytest.raises(Unreachable):
        await receiver.run()
    early = newest.port.parse_position("0/100", timeline=1)
    with pytest.raises(LogGap, match="log is missing from 0/100 on"):
        await newest.port.receiver(newest.access, ReceiveOrder(spool=spool, name="dbre_early", start=early)).run()


async def test_positions_are_watched_until_the_server_is_gone(fresh_postgres: PostgresServer) -> None:
    port = PostgresBackups(kit.place_of(fresh_postgres.site))
    seen = []
    async with asyncio.timeout(kit.LIMIT_SECONDS):
        async for position in port.watch(fresh_postgres.access()):
            seen.append(position)
            if len(seen) == 1:
                async with await fresh_postgres.connect() as connection:
                    await connection.execute("CREATE TABLE t AS SELECT 1 AS i")
            if len(seen) == 2:
                await fresh_postgres.kill()
    assert seen[0] < seen[1]
    assert seen == sorted(seen)
