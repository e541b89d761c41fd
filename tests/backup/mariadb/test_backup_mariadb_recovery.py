"""Servers that come out of copies of MariaDB hold exactly what the target says."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from left_behind_kit import kill_while_recovered
from mariadb_kit import History, ServerLog, digest_of_tree, numbers, order_for, own, run_sql

from dbre.core.errors import Unsupported
from dbre.lab.mariadb import MariaDbServer
from dbre.ports.backup.errors import CopyDamaged, LogGap, RecoveryFailed, TargetNotReached
from dbre.ports.backup.model import RecoveryTarget, TargetKind
from dbre.testing.fixtures import running

LATEST = RecoveryTarget(kind=TargetKind.LATEST)
IMMEDIATE = RecoveryTarget(kind=TargetKind.IMMEDIATE)


def targets(history: History) -> dict[str, tuple[RecoveryTarget, int]]:
    """Targets, and the last number of the ledger at each."""
    name, _, offset = history.position.text.rpartition(":")
    return {
        "immediate": (IMMEDIATE, 6),
        "position": (RecoveryTarget(kind=TargetKind.POSITION, value=f"{name}:{offset}"), 8),
        "transaction": (RecoveryTarget(kind=TargetKind.TRANSACTION, value=history.gtid), 9),
        "before-transaction": (RecoveryTarget(kind=TargetKind.TRANSACTION, value=history.gtid, is_inclusive=False), 8),
        "time": (RecoveryTarget(kind=TargetKind.TIME, at=history.moment), 9),
        "latest": (LATEST, 13),
    }


@pytest.mark.parametrize("which", ["immediate", "position", "transaction", "before-transaction", "time", "latest"])
async def test_the_ledger_ends_where_the_target_says(history: History, which: str) -> None:
    target, last = targets(history)[which]
    directory = await history.copies.assemble("full", "incremental", into=f"data-{which}")
    async with history.copies.backups.recover(order_for(directory, target, history.log)) as server:
        assert await numbers(server.access) == list(range(1, last + 1))
        assert server.outcome.has_reached_target, server.outcome.reason
        assert server.outcome.timeline == history.server_id
        assert {phase.name for phase in server.outcome.phases} == {"start", "replay"}
    assert not (directory.with_name(f"{directory.name}.log")).exists()


async def test_the_full_copy_alone_recovers_to_its_own_moment_without_any_log(history: History) -> None:
    directory = await history.copies.assemble("full", into="data-alone")
    async with history.copies.backups.recover(order_for(directory, IMMEDIATE, None)) as server:
        assert await numbers(server.access) == [1, 2, 3]
        assert server.outcome.position == history.copies.made["full"].stop


async def test_a_recovered_server_is_held_in_its_jail(history: History) -> None:
    directory = await history.copies.assemble("full", into="data-jail")
    async with history.copies.backups.recover(order_for(directory, IMMEDIATE, None)) as server:
        assert server.outcome.is_jailed, server.outcome.jail
        names = "skip_networking, event_scheduler, log_bin, read_only, port"
        columns = ", ".join(f"@@GLOBAL.{name.strip()}" for name in names.split(","))
        ((row,),) = await run_sql(server.access, f"SELECT {columns}")
        assert (int(row[0]), row[1], int(row[2]), int(row[3])) == (1, "OFF", 0, 1)
        socket = Path(server.access.address.host)
        assert socket.stat().st_mode & 0o777 == 0o700
        ((pid,),) = (await run_sql(server.access, "SELECT @@pid_file"))[0]
        number = int((Path(pid) if os.path.isabs(pid) else directory / pid).read_text())  # noqa: PTH117
        assert os.readlink(f"/proc/{number}/ns/net") != os.readlink("/proc/self/ns/net")  # noqa: PTH115
    assert not socket.exists()
    assert not Path(f"/proc/{number}").exists()


async def test_a_promoted_and_kept_directory_starts_elsewhere_without_a_trace_of_the_jail(history: History) -> None:
    directory = await history.copies.assemble("full", "incremental", into="data-kept")
    target = RecoveryTarget(kind=TargetKind.TRANSACTION, value=history.gtid)
    order = order_for(directory, target, history.log, stays_at_target=False)
    async with history.copies.backups.recover(order) as server:
        assert "promote" in {phase.name for phase in server.outcome.phases}
        await run_sql(server.access, "INSERT INTO lab.ledger VALUES (100, 'after')")
        await server.stop(keep=True)
    program = history.copies.server.program
    revived = MariaDbServer("revived", history.copies.site, program=program)
    history.copies.site.make_directory(revived.directory, mode=0o711)
    revived._keep("password", history.copies.server.password.reveal())
    revived._keep("prepared", "")
    directory.rename(revived.data_directory)
    async with running(revived):
        assert await numbers(revived.access()) == [*range(1, 10), 100]
        ((users, probes),) = (
            await run_sql(
                revived.access(),
                "SELECT (SELECT COUNT(*) FROM mysql.global_priv WHERE User = 'dbre_recovery'), "
                "(SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'dbre_write_probe')",
            )
        )[0]
        assert (users, probes) == (0, 0)


async def test_assembling_leaves_the_copies_as_they_are(history: History) -> None:
    before = [digest_of_tree(history.copies.directory / name) for name in ("full", "incremental")]
    await history.copies.assemble("full", "incremental", into="data-untouched")
    assert [digest_of_tree(history.copies.directory / name) for name in ("full", "incremental")] == before
    for name in ("full", "incremental"):
        assert (await history.copies.backups.verify(history.copies.directory / name)).is_good


@pytest.mark.parametrize("which", ["time-in-the-future", "unknown-transaction", "position-beyond-the-end"])
async def test_a_target_that_the_log_does_not_reach_is_an_error_before_anything_is_replayed(
    history: History, which: str
) -> None:
    target = {
        "time-in-the-future": RecoveryTarget(kind=TargetKind.TIME, at=history.moment + timedelta(days=1)),
        "unknown-transaction": RecoveryTarget(kind=TargetKind.TRANSACTION, value=f"0-{history.server_id}-999999"),
        "position-beyond-the-end": RecoveryTarget(kind=TargetKind.POSITION, value="binlog.000009:400"),
    }[which]
    directory = await history.copies.assemble("full", into=f"data-{which}")
    before = digest_of_tree(directory)
    with pytest.raises(TargetNotReached, match="before its target"):
        async with history.copies.backups.recover(order_for(directory, target, history.log)):
            pytest.fail("it came up")
    assert digest_of_tree(directory) == before


async def test_a_missing_first_log_file_is_a_gap(history: History) -> None:
    directory = await history.copies.assemble("full", into="data-gap")
    start = history.copies.made["full"].start
    assert start is not None
    log = ServerLog(history.copies.server, history.server_id, hidden={f"{history.server_id}-{start.text.rpartition(':')[0]}"})
    with pytest.raises(LogGap, match="is missing"):
        async with history.copies.backups.recover(order_for(directory, LATEST, log)):
            pytest.fail("it came up")


async def test_a_flipped_byte_in_the_log_stops_recovery_and_names_the_file(history: History) -> None:
    directory = await history.copies.assemble("full", into="data-flip")
    start = history.copies.made["full"].start
    assert start is not None
    file, _, offset = start.text.rpartition(":")
    name = f"{history.server_id}-{file}"
    log = ServerLog(history.copies.server, history.server_id, damage={name: int(offset) + 300})
    with pytest.raises(CopyDamaged, match=name):
        async with history.copies.backups.recover(order_for(directory, LATEST, log)):
            pytest.fail("it came up")


async def test_named_restore_points_are_refused(history: History) -> None:
    directory = await history.copies.assemble("full", into="data-name")
    with pytest.raises(Unsupported, match="named restore points"):
        async with history.copies.backups.recover(
            order_for(directory, RecoveryTarget(kind=TargetKind.NAME, value="before"), history.log)
        ):
            pytest.fail("it came up")


async def test_a_directory_that_is_no_copy_does_not_start(history: History) -> None:
    directory = own(history.copies.directory / "data-empty", history.copies.site)
    with pytest.raises((CopyDamaged, RecoveryFailed)):
        async with history.copies.backups.recover(order_for(directory, IMMEDIATE, None)):
            pytest.fail("it came up")


async def test_a_server_does_not_outlive_a_killed_recovery(history: History) -> None:
    directory = await history.copies.assemble("full", into="data-killed")
    assert await kill_while_recovered("mysql", directory, history.copies.site.cache) >= 1


async def test_the_beginning_of_a_file_as_target_brings_back_all_of_the_file_before_it(history: History) -> None:
    directory = await history.copies.assemble("full", into="data-beginning")
    name, _, _ = history.position.text.rpartition(":")
    base, _, number = name.rpartition(".")
    target = RecoveryTarget(kind=TargetKind.POSITION, value=f"{base}.{int(number) + 1:0{len(number)}}:4")
    async with history.copies.backups.recover(order_for(directory, target, history.log)) as server:
        assert await numbers(server.access) == list(range(1, 13))
        replayed = next(phase.bytes for phase in server.outcome.phases if phase.name == "replay")
        assert replayed is not None
        assert 0 < replayed < 2**20  # of the files, not of positions, which jump from file to file
