"""A real replica, by GTID."""

import asyncio
from dataclasses import replace

from mysql_kit import administrator, execute, granted, request

from dbre.core.fleet import EndpointPurpose
from dbre.engines.mysql import MySqlEngine
from dbre.engines.mysql.replication import replay_lag_bytes, replay_lag_seconds
from dbre.ports.engine import Access
from dbre.ports.probe import Outcome, ProbeReading
from dbre.ports.replication import ReplicationStatus
from dbre.ports.session import Role

ENGINE = MySqlEngine()


async def status_of(access: Access) -> ReplicationStatus:
    server = ENGINE.connect(access)
    try:
        return await server.replication.status()
    finally:
        await server.aclose()


async def probed(access: Access, purpose: EndpointPurpose, sequence: int = 1) -> ProbeReading:
    probe = ENGINE.probe(access)
    try:
        return await probe.measure(request(sequence, purpose=purpose, row="pair"))
    finally:
        await probe.aclose()


async def accesses(pair) -> tuple[Access, Access]:
    primary = await granted(pair.primary, "watcher")
    async with administrator(pair.primary) as admin:
        ((position,),) = await execute(admin, "SELECT @@GLOBAL.gtid_binlog_pos")
    async with administrator(pair.replica) as admin:
        assert await execute(admin, "SELECT MASTER_GTID_WAIT(%s, 10)", [position]) == [(0,)]
    return primary, replace(primary, address=pair.replica.address)


async def test_a_pair_names_each_other(mariadb_pair) -> None:
    primary, replica = await accesses(mariadb_pair)
    feeding, fed = await status_of(primary), await status_of(replica)
    (link,) = feeding.links
    assert feeding.role is Role.PRIMARY
    assert feeding.upstream is None
    assert link.name.startswith("replicator@")
    assert (link.sync_state, link.replay_lag_bytes, link.replay_lag_seconds) == ("async", None, None)
    assert (fed.role, fed.links) == (Role.REPLICA, ())
    assert fed.upstream == str(mariadb_pair.primary.address)
    assert fed.is_receiving is True


async def test_a_heartbeat_reaches_the_replica_and_a_write_there_is_the_wrong_role(mariadb_pair) -> None:
    primary, replica = await accesses(mariadb_pair)
    written = await probed(primary, EndpointPurpose.WRITE, 7)
    assert written.outcome is Outcome.GOOD, written
    for _ in range(100):
        seen = await probed(replica, EndpointPurpose.REPLICA)
        if seen.heartbeat_sequence == 7:
            break
        await asyncio.sleep(0.05)
    assert (seen.outcome, seen.role, seen.heartbeat_sequence) == (Outcome.GOOD, Role.REPLICA, 7), seen
    wrong = await probed(replica, EndpointPurpose.WRITE, 8)
    assert (wrong.outcome, wrong.code) == (Outcome.BAD, "wrong_role")


async def test_a_replica_whose_applier_stops_falls_behind_in_bytes_and_stays_a_replica(mariadb_pair) -> None:
    primary, replica = await accesses(mariadb_pair)
    async with administrator(mariadb_pair.replica) as admin:
        await execute(admin, "STOP SLAVE SQL_THREAD")
        try:
            for sequence in range(20, 25):
                assert (await probed(primary, EndpointPurpose.WRITE, sequence)).outcome is Outcome.GOOD
            for _ in range(100):
                behind = await status_of(replica)
                if behind.replay_lag_bytes:
                    break
                await asyncio.sleep(0.05)
            stopped = await probed(replica, EndpointPurpose.REPLICA)
        finally:
            await execute(admin, "START SLAVE SQL_THREAD")
        for _ in range(100):
            again = await status_of(replica)
            if again.replay_lag_bytes == 0:
                break
            await asyncio.sleep(0.05)
    assert behind.replay_lag_bytes is not None
    assert behind.replay_lag_bytes > 100
    assert behind.replay_lag_seconds is None  # nobody applies: the server does not know
    assert stopped.role is Role.REPLICA  # read-only
    assert (again.replay_lag_bytes, again.replay_lag_seconds) == (0, None)  # idle: no age, and never 0


async def test_a_replica_without_its_primary_is_not_receiving_and_still_a_replica(mariadb_pair) -> None:
    _, replica = await accesses(mariadb_pair)
    async with administrator(mariadb_pair.replica) as admin:
        await execute(admin, "STOP SLAVE IO_THREAD")
        try:
            alone = await status_of(replica)
            # Even writable, it is a replica as long as its applier runs.
            await execute(admin, "SET GLOBAL read_only = 0")
            writable = await probed(replica, EndpointPurpose.REPLICA)
        finally:
            await execute(admin, "SET GLOBAL read_only = 1")
            await execute(admin, "START SLAVE IO_THREAD")
    assert (alone.role, alone.is_receiving) == (Role.REPLICA, False)
    assert (writable.role, writable.outcome) == (Role.REPLICA, Outcome.GOOD)


async def test_the_exporter_gets_the_replication_under_its_old_names(mariadb_pair) -> None:
    _, replica = await accesses(mariadb_pair)
    server = ENGINE.connect(replica)
    families = {family.name: family for family in await server.statistics.collect("replication")}
    await server.aclose()
    assert families["mysql_slave_status_slave_io_running"].samples[0].value == 1.0
    assert families["mysql_slave_status_slave_sql_running"].samples[0].labels["master_host"] == "127.0.0.1"
    assert "mysql_slave_status_seconds_behind_master" in families


ROW = {
    "source_log_file": "binlog.000002",
    "relay_source_log_file": "binlog.000002",
    "read_source_log_pos": 900,
    "exec_source_log_pos": 400,
    "seconds_behind_source": 12,
}


def test_lag_is_known_within_one_file_only() -> None:
    assert (replay_lag_bytes(ROW), replay_lag_seconds(ROW)) == (500, 12.0)
    assert replay_lag_bytes({**ROW, "relay_source_log_file": "binlog.000001"}) is None
    assert replay_lag_bytes({**ROW, "source_log_file": ""}) is None
    assert replay_lag_seconds({**ROW, "exec_source_log_pos": 900}) is None
    assert replay_lag_seconds({**ROW, "seconds_behind_source": None}) is None
