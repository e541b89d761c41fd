"""What PostgreSQL says of the log that it keeps, on real servers; history files and headers of segments."""

import asyncio
from pathlib import Path

import pytest

from dbre.core.errors import Conflict
from dbre.core.fleet import TlsMode
from dbre.engines.postgres.log_source import PostgresLogSource
from dbre.lab.postgres import PostgresServer
from dbre.ports.backup.log_source import BacklogState, Departure
from dbre.ports.engine import Access

HISTORY = b"1\t0/3000060\tno recovery target specified\n\n2\t0/5000028\tbefore 2026-11-21 10:00:00.123+00\n"


def source_of(server: PostgresServer) -> PostgresLogSource:
    return PostgresLogSource(
        Access(
            address=server.address,
            user=server.superuser,
            password=server.password,
            database="postgres",
            tls=TlsMode.DISABLE,
        )
    )


@pytest.fixture(params=[15, 18], ids=["15", "18"])
def server(request: pytest.FixtureRequest, postgres15: PostgresServer, postgres18: PostgresServer) -> PostgresServer:
    return postgres15 if request.param == 15 else postgres18


async def test_without_a_slot_nothing_is_kept(server: PostgresServer) -> None:
    found = await source_of(server).backlog("dbre_nobody")
    assert (found.state, found.kept_bytes, found.is_active) == (BacklogState.ABSENT, None, False)
    assert found.position.timeline == 1
    assert found.position.value > 0


async def test_a_slot_keeps_log_and_the_mark_tells_of_transactions_only(server: PostgresServer) -> None:
    source = source_of(server)
    async with await server.connect() as connection:
        await connection.execute("SELECT pg_create_physical_replication_slot('dbre_log_test', true)")
        await connection.execute("DROP TABLE IF EXISTS log_mark")
        for _ in range(50):  # a server that others use has transactions of its own, such as those of autovacuum
            before = await source.backlog("dbre_log_test")
            await connection.execute("SELECT pg_switch_wal()")
            after_switch = await source.backlog("dbre_log_test")
            if before.change_mark == after_switch.change_mark:
                break
            await asyncio.sleep(0.2)
        await connection.execute("CREATE TABLE log_mark AS SELECT generate_series(1, 20000)")
        after_write = await source.backlog("dbre_log_test")
    assert before.state is BacklogState.KEPT
    assert before.change_mark == after_switch.change_mark != after_write.change_mark
    assert after_switch.position >= before.position
    assert (after_write.kept_bytes or 0) > (before.kept_bytes or 0)
    assert after_write.kept_from == before.kept_from
    await source.release("dbre_log_test")
    assert (await source.backlog("dbre_log_test")).state is BacklogState.ABSENT
    await source.release("dbre_log_test")  # once more is nothing


async def test_a_file_ends_where_something_was_written_into_it_and_only_there(server: PostgresServer) -> None:
    source = source_of(server)
    async with await server.connect() as connection:
        await connection.execute("DROP TABLE IF EXISTS log_end; CREATE TABLE log_end AS SELECT 1")
    first = await source.end_file()
    second = await source.end_file()
    assert second.value - first.value <= 16 * 2**20
    assert (await source.backlog("dbre_nobody")).position.value >= first.value


async def test_a_segment_says_whose_it_is(server: PostgresServer) -> None:
    source = source_of(server)
    segment = min(one for one in (server.data_directory / "pg_wal").iterdir() if len(one.name) == 24)
    async with await server.connect() as connection:
        row = await (await connection.execute("SELECT system_identifier::text FROM pg_control_system()")).fetchone()
    assert row is not None
    assert source.system_of(segment) == row[0]
    assert source.is_whole(segment)


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 64, b"not a segment at all, but of some length" * 4], ids=["empty", "zeros", "text"]
)
def test_what_is_no_segment_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "000000010000000000000003"
    path.write_bytes(content)
    with pytest.raises(Conflict, match="does not begin as a WAL segment"):
        _anywhere().system_of(path)


def test_a_history_file_tells_every_departure() -> None:
    found = _anywhere().departures("00000003.history", HISTORY)
    assert found == (Departure(2, 1, 0x3000060), Departure(3, 2, 0x5000028))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("00000003.history", b""),
        ("00000003.history", b"1\t0/3000060"[:4]),
        ("00000002.history", HISTORY),  # names itself as its own ancestor
        ("00000003.history", b"2\t0/5000028\tx\n1\t0/3000060\ty\n"),
        ("../00000003.history", HISTORY),
        ("00000003.history", b"# only a comment\n"),
    ],
    ids=["empty", "cut", "own-ancestor", "disorder", "path", "comment"],
)
def test_a_damaged_history_file_is_refused(name: str, content: bytes) -> None:
    with pytest.raises(Conflict):
        _anywhere().departures(name, content)


def test_labels_of_backups_need_not_be_kept() -> None:
    assert _anywhere().is_dispensable("000000010000000000000003.00000028.backup")
    assert not _anywhere().is_dispensable("000000010000000000000003.partial")


def _anywhere() -> PostgresLogSource:
    from dbre.core.fleet import Address

    return PostgresLogSource(Access(address=Address("127.0.0.1", 1), user=None, password=None, database=None))
