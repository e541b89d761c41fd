"""A log file that was damaged before it was stored: found by reading it, lost for good, and made up for by a full copy."""

import asyncio
from pathlib import Path

import pytest
from log_plane import CLUSTER, Plane, plane, sealed_set, until

from dbre.capabilities.backup.catalog.loading import load_catalog
from dbre.capabilities.backup.log.gaps import coverage
from dbre.capabilities.backup.log.missing import find_missing
from dbre.capabilities.backup.log.origin import LogOrigin, find_origin, receiver_name
from dbre.capabilities.backup.model import LogState, RecoveryGap, StoredLog
from dbre.capabilities.backup.vault.opening import open_vault
from dbre.core.events import recent
from dbre.core.programs.account import give
from dbre.lab.postgres import PostgresServer
from dbre.ports.backup.model import LogPosition

pytestmark = pytest.mark.timeout(300)  # a busy machine needs long for a server and two sessions of the keeper


async def write(server: PostgresServer, *, switch: bool = True) -> str:
    """Rows, and the end of the log file that has the last of them; its name."""
    async with await server.connect() as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS ledger (id bigint)")
        await connection.execute("INSERT INTO ledger SELECT generate_series(1, 5000)")
        row = await (await connection.execute("SELECT pg_walfile_name(pg_current_wal_insert_lsn())")).fetchone()
        if switch:
            await connection.execute("SELECT pg_switch_wal()")
    assert row is not None
    return str(row[0])


async def origin_of(one: Plane) -> LogOrigin:
    return await find_origin(one.ground, one.ground.fleet.cluster(CLUSTER), one.ground.require_policy(CLUSTER))


async def is_received(one: Plane) -> bool:
    origin = await origin_of(one)
    assert origin.source is not None
    return (await origin.source.backlog(receiver_name(CLUSTER))).is_active is True


async def copied(one: Plane, server: PostgresServer, name: str) -> LogPosition:
    """What a full copy that was sealed leaves in the catalog, taken now; where it ends."""
    origin = await origin_of(one)
    start = await origin.port.position(origin.access)
    await write(server, switch=False)
    stop = await origin.port.position(origin.access)
    await sealed_set(one.store, origin.system_id, start, stop, name)
    return stop


async def log_named(one: Plane, name: str, *states: LogState) -> StoredLog | None:
    catalog = await load_catalog(one.store, CLUSTER)
    return next((log for log in catalog.logs if log.file.name == name and log.state in states), None)


def spoil(server: PostgresServer, spool: Path, name: str) -> None:
    """The file as the server wrote it comes into the spool, but for a few bytes of its records."""
    content = bytearray((server.data_directory / "pg_wal" / name).read_bytes())
    for place in range(8192 * 3 + 1000, 8192 * 3 + 1064):  # longer than what fills the room between two records
        content[place] ^= 0x40
    (spool / f"{name}.partial").unlink(missing_ok=True)
    (spool / name).write_bytes(content)
    give(spool / name, server.site.account)


async def agrees(one: Plane, lost: StoredLog) -> None:
    """The vault alone tells of the same hole as the state store, and its check names the file."""
    known = find_missing(await load_catalog(one.store, CLUSTER))
    assert [(hole.start.value, hole.end.value) for hole in known] == [(lost.file.start, lost.file.end)]
    async with open_vault(one.ground, "cellar") as vault:
        catalog = await vault.catalog(CLUSTER)
        faults = await vault.verify(deep=False)
        await vault.note_damage(lost.system_id, lost.file, "the same again")
    (alone,) = [log for log in catalog.logs if log.state is LogState.LOST]
    assert (alone.file, alone.vaults) == (lost.file, ("cellar",))
    assert [(fault.rule, fault.subject) for fault in faults] == [("damaged_log", lost.file.name)]
    start = LogPosition(1, min(log.file.start for log in catalog.logs), "0/0")
    assert coverage(catalog.logs, catalog.switches, start=start, timeline=1).end.value == lost.file.start


async def test_a_damaged_file_is_lost_and_a_gap_and_a_full_copy_makes_up_for_it(
    fresh_postgres: PostgresServer, workplace: Path
) -> None:
    server, asked = fresh_postgres, []

    async def request(kind: str, given: object, key: str) -> str:
        asked.append((kind, given, key))
        return "0192f3c1-0000-7000-8000-000000000003"

    async with plane(workplace, [server], cache=server.site.cache, seal_after="2s") as one:
        async with one.keeping():
            await until(lambda: is_received(one), "somebody receives")
            stop = await copied(one, server, "set-1")
            sound = await write(server)
            await until(lambda: log_named(one, sound, LogState.VAULTED, LogState.VERIFIED), "a sound file is stored")
        bad = await write(server)
        after = await write(server)
        spool = next((one.ground.directory / "spool" / CLUSTER).iterdir())
        await asyncio.to_thread(spoil, server, spool, bad)

        async with one.keeping(request=request):
            lost = await until(lambda: log_named(one, bad, LogState.LOST), "the damage is found")
            assert lost.vaults == ("cellar",)  # it was stored as it was: only reading tells

            async def noted() -> RecoveryGap | None:
                return next((gap for gap in (await load_catalog(one.store, CLUSTER)).gaps if "operation" in gap.remedy), None)

            gap = await until(noted, "the gap is written down with its remedy")
            assert (gap.start, gap.end, gap.ended_at) == (lost.file.start, lost.file.end, None)
            assert asked == [("backup.take", {"cluster": CLUSTER, "kind": "full"}, f"backup-gap:{gap.id}")]
            assert await log_named(one, after, LogState.VAULTED, LogState.VERIFIED) is not None
            catalog = await load_catalog(one.store, CLUSTER)
            reached = coverage(catalog.logs, catalog.switches, start=stop, timeline=1)
            assert reached.end.value == lost.file.start  # recovery from the set ends before the damage
            async with one.store.read() as connection:
                told = {event.kind: event for event in await recent(connection, limit=200)}
            assert bad in told["backup.log_damaged"].data["message"]
            assert "backup.recovery_gap" in told

            await agrees(one, lost)
            await copied(one, server, "set-2")

            async def closed() -> bool:
                return (await load_catalog(one.store, CLUSTER)).gaps[0].ended_at is not None

            await until(closed, "a full copy closes it")
        assert len(asked) == 1
        catalog = await load_catalog(one.store, CLUSTER)
        assert len(find_missing(catalog)) == 1  # of the older set, as long as there is one
        assert find_missing(catalog, only_open=True) == ()
