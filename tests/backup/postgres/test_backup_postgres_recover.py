"""Recovery of real copies to every kind of target, compared with what a client saw acknowledged."""

import asyncio
import signal
import subprocess
import sys
import textwrap
import time
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import postgres_kit as kit
import psycopg
import pytest

from dbre.core.errors import UsageError
from dbre.core.programs.account import give
from dbre.core.programs.errors import BinariesMissing
from dbre.ports.backup.engine import RecoverOrder
from dbre.ports.backup.errors import CopyDamaged, RecoveryFailed, TargetNotReached
from dbre.ports.backup.model import RecoveryTarget, TargetKind

LATEST = RecoveryTarget(kind=TargetKind.LATEST)


async def assembled(source: kit.Source, room: Path) -> Path:
    target = room / "data"
    await source.port.assemble(source.chain, target, kit.quiet)
    return target


def order(directory: Path, log: kit.Folder, target: RecoveryTarget = LATEST, **more: object) -> RecoverOrder:
    return RecoverOrder(directory=directory, target=target, log=log, timeout_seconds=kit.LIMIT_SECONDS, **more)  # type: ignore[arg-type]


def _targets(source: kit.Source) -> dict[str, tuple[RecoveryTarget, int]]:
    """Each kind of target with the number of the last row that must be there."""
    after_copies, chosen = 5 * (len(source.chain) + 1), source.ledger[-4]
    return {
        "time": (RecoveryTarget(kind=TargetKind.TIME, at=chosen.committed_at), chosen.number),
        "time in another zone": (
            RecoveryTarget(kind=TargetKind.TIME, at=chosen.committed_at.astimezone(ZoneInfo("Asia/Kathmandu"))),
            chosen.number,
        ),
        "position": (RecoveryTarget(kind=TargetKind.POSITION, value=chosen.lsn), chosen.number),
        "transaction": (RecoveryTarget(kind=TargetKind.TRANSACTION, value=chosen.xid), chosen.number),
        "before a transaction": (
            RecoveryTarget(kind=TargetKind.TRANSACTION, value=chosen.xid, is_inclusive=False), chosen.number - 1,
        ),
        "name": (RecoveryTarget(kind=TargetKind.NAME, value="after the copies"), after_copies),
        "immediate": (RecoveryTarget(kind=TargetKind.IMMEDIATE), 5 * len(source.chain)),
        "latest": (LATEST, source.ledger[-1].number),
    }  # fmt: skip


TARGETS = ["time", "time in another zone", "position", "transaction", "before a transaction", "name", "immediate", "latest"]


@pytest.mark.parametrize("name", TARGETS)
async def test_recovery_stops_exactly_where_it_was_told_to(newest: kit.Source, room: Path, name: str) -> None:
    target, last = _targets(newest)[name]
    directory = await assembled(newest, room)
    async with newest.port.recover(order(directory, kit.Folder(newest.spool), target)) as server:
        assert await kit.numbers(server.access) == list(range(1, last + 1))
        assert server.outcome.has_reached_target, server.outcome
        assert server.outcome.is_jailed
        assert server.outcome.position is not None
        assert [phase.name for phase in server.outcome.phases] == ["start", "replay"]


async def test_what_stopped_recovery_is_told_in_the_servers_own_words(oldest: kit.Source, room: Path) -> None:
    chosen = oldest.ledger[-4]
    target = RecoveryTarget(kind=TargetKind.TRANSACTION, value=chosen.xid)
    directory = await assembled(oldest, room)
    async with oldest.port.recover(order(directory, kit.Folder(oldest.spool), target)) as server:
        assert f"recovery stopping after commit of transaction {chosen.xid}" in server.outcome.reason
        assert server.outcome.last_commit_at is not None
        assert server.outcome.last_commit_at <= chosen.committed_at


async def test_a_promoted_server_takes_writes_and_what_is_kept_starts_without_the_jail(oldest: kit.Source, room: Path) -> None:
    directory = await assembled(oldest, room)
    (directory / "postgresql.auto.conf").write_text(
        "work_mem = '5MB'\nprimary_conninfo = 'host=elsewhere'\nrecovery_target = 'immediate'\n"
        f"archive_mode = 'always'\nArchive_Command = 'touch {room}/archived'\nsynchronous_standby_names = '*'\n"
    )
    with (directory / "postgresql.conf").open("a") as settings:
        settings.write(f"archive_mode = on\narchive_command = 'touch {room}/archived'\nsynchronous_standby_names = '*'\n")
    async with oldest.port.recover(order(directory, kit.Folder(oldest.spool))) as server:
        phase = await server.promote()
        assert phase.name == "promote"
        access = server.access
        connection = await psycopg.AsyncConnection.connect(
            host=access.address.host, port=access.address.port, user=access.user or "", dbname="postgres"
        )
        async with connection:
            await connection.execute("INSERT INTO ledger VALUES (1000)")
        await server.stop(keep=True)
    assert not {"recovery.signal", "standby.signal", "postmaster.pid"} & {path.name for path in directory.iterdir()}
    lines = (directory / "postgresql.auto.conf").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        "work_mem = '5MB'", "archive_mode = 'off'", "synchronous_standby_names = ''",
        "max_logical_replication_workers = '0'", "cron.launch_active_jobs = 'off'",
    ]  # fmt: skip
    assert "restored copy" in "".join(lines)
    assert "archive_mode" in server.outcome.jail["stays off when kept"]
    assert "fetch.py" not in "".join(path.read_text() for path in directory.glob("*.conf"))
    rows = _run_single(oldest, directory, "SELECT max(number) AS newest FROM ledger")
    assert 'newest = "1000"' in rows
    shown = "SELECT string_agg(setting, ',' ORDER BY name) AS found FROM pg_settings WHERE name IN ({})"
    names = "'archive_mode', 'max_logical_replication_workers', 'synchronous_standby_names'"
    assert 'found = "off,0,"' in _run_single(oldest, directory, shown.format(names))


def _run_single(source: kit.Source, directory: Path, statement: str) -> str:
    """Ask a data directory without a postmaster."""
    command = [source.server.binaries.program("postgres"), "--single", "-D", str(directory), "postgres"]
    done = subprocess.run(
        command, input=statement + "\n", capture_output=True, text=True, timeout=60, check=True, cwd=directory,
        **source.site.account.credentials(),
    )  # fmt: skip
    return done.stdout


async def test_a_server_that_goes_on_to_take_writes_does_so_by_itself(oldest: kit.Source, room: Path) -> None:
    target = RecoveryTarget(kind=TargetKind.POSITION, value=oldest.ledger[-4].lsn)
    directory = await assembled(oldest, room)
    async with oldest.port.recover(
        order(directory, kit.Folder(oldest.spool), target, stays_at_target=False, is_faithful=False)
    ) as server:
        assert (await kit.numbers(server.access))[-1] == oldest.ledger[-4].number
        assert server.outcome.timeline == 2
        await server.promote()


async def test_a_target_beyond_the_log_is_an_error_and_the_directory_still_gives_the_newest(
    oldest: kit.Source, room: Path
) -> None:
    target = RecoveryTarget(kind=TargetKind.TIME, at=oldest.ledger[-1].committed_at + timedelta(days=1))
    directory = await assembled(oldest, room)
    with pytest.raises(TargetNotReached, match="recovery ended before configured recovery target"):
        async with oldest.port.recover(order(directory, kit.Folder(oldest.spool), target)):
            pass
    async with oldest.port.recover(order(directory, kit.Folder(oldest.spool))) as server:
        assert (await kit.numbers(server.access))[-1] == oldest.ledger[-1].number


async def test_log_that_cannot_be_fetched_is_no_end_of_the_log(oldest: kit.Source, room: Path) -> None:
    """Status 1 would have ended recovery here, with the newest rows gone and nobody the wiser."""
    directory = await assembled(oldest, room)
    last = sorted(path.name for path in oldest.spool.iterdir())[-2]
    log = kit.Folder(oldest.spool, broken=last)
    with pytest.raises(RecoveryFailed, match="log could not be fetched") as caught:
        async with oldest.port.recover(order(directory, log, stays_at_target=False)):
            pass
    assert "the archive is on fire" in str(caught.value.__cause__)
    assert "could not restore file" in caught.value.message


async def test_a_missing_segment_ends_the_log_there_and_the_target_is_not_reached(oldest: kit.Source, room: Path) -> None:
    directory = await assembled(oldest, room)
    gone = _segment_of(oldest, oldest.ledger[-1].lsn)
    target = RecoveryTarget(kind=TargetKind.POSITION, value=oldest.ledger[-1].lsn)
    with pytest.raises(TargetNotReached) as caught:
        async with oldest.port.recover(order(directory, kit.Folder(oldest.spool, without=(gone,)), target)):
            pass
    assert caught.value.context["last_absent"] == gone


def _segment_of(source: kit.Source, lsn: str) -> str:
    position = source.port.parse_position(lsn, timeline=1)
    high, low = divmod(position.value // (16 << 20), 256)
    return f"{1:08X}{high:08X}{low:08X}"


async def test_damaged_log_is_never_taken_for_its_end(oldest: kit.Source, room: Path) -> None:
    spool = kit.duplicate(oldest.spool, room / "spool")
    lsn = oldest.port.parse_position(oldest.ledger[-6].lsn, timeline=1).value
    path = spool / _segment_of(oldest, oldest.ledger[-6].lsn)
    data = bytearray(path.read_bytes())
    data[lsn % (16 << 20) - 12] ^= 0xFF
    path.write_bytes(data)
    directory = await assembled(oldest, room)
    async with oldest.port.recover(order(directory, kit.Folder(spool))) as server:
        assert (await kit.numbers(server.access))[-1] < oldest.ledger[-1].number
        assert not server.outcome.has_reached_target
        assert "checksum" in server.outcome.reason
    start, end = oldest.facts[0].start, oldest.port.parse_position(oldest.ledger[-1].lsn, timeline=1)
    assert start is not None
    for folder, rules in ((oldest.spool, set()), (spool, {"log_damaged"})):
        files = [one for one in sorted(folder.glob("0*")) if one.name >= _segment_of(oldest, start.text)]
        found = await oldest.port.scan_log(files, start=start, end=end)
        assert {fault.rule for fault in found.faults} == rules, found.faults


async def test_the_jail_has_no_network_no_listener_no_archiving_and_no_foreign_settings(oldest: kit.Source, room: Path) -> None:
    directory = await assembled(oldest, room)
    hostile = "archive_mode = on\narchive_command = 'touch /tmp/escaped'\nlisten_addresses = '*'\nport = 5432\n"
    (directory / "postgresql.conf").write_text(hostile + "shared_preload_libraries = 'no_such_library, pg_stat_statements'\n")
    (directory / "postgresql.auto.conf").write_text(hostile + "recovery_target_xid = '1'\nsession_preload_libraries = 'nope'\n")
    (directory / "postmaster.pid").write_text("1\n/nowhere\n")
    (directory / "pg_replslot" / "old").mkdir(parents=True)
    async with oldest.port.recover(order(directory, kit.Folder(oldest.spool))) as server:
        access = server.access
        connection = await psycopg.AsyncConnection.connect(
            host=access.address.host, port=access.address.port, user=access.user or "", dbname="postgres"
        )
        async with connection:
            rows = await (await connection.execute("SELECT name, setting FROM pg_settings")).fetchall()
            slots = await (await connection.execute("SELECT count(*) FROM pg_replication_slots")).fetchone()
        settings = dict(rows)
        assert settings["archive_mode"] == "off"
        assert settings["listen_addresses"] == ""
        assert settings["max_logical_replication_workers"] == "0"
        assert settings["shared_preload_libraries"] == "pg_stat_statements"
        assert settings["session_preload_libraries"] == ""
        assert slots == (0,)
        assert server.outcome.jail["not preloaded"] == "no_such_library"
        assert oct(Path(access.address.host).stat().st_mode & 0o777) == "0o700"
        pid = int((directory / "postmaster.pid").read_text().split()[0])
        own, theirs = (Path(f"/proc/{one}/ns/net").readlink() for one in ("self", pid))
        assert server.outcome.is_jailed
        assert own != theirs
        interfaces = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
        assert [line.split(":")[0].strip() for line in interfaces] == ["lo"]
    assert not Path("/tmp/escaped").exists()


async def test_the_superuser_is_found_whatever_its_name(oldest: kit.Source, room: Path) -> None:
    directory = await assembled(oldest, room)
    async with oldest.port.recover(order(directory, kit.Folder(oldest.spool))) as server:
        await server.promote()
        connection = await psycopg.AsyncConnection.connect(
            host=server.access.address.host, port=5432, user="postgres", dbname="postgres", autocommit=True
        )
        async with connection:
            await connection.execute("CREATE ROLE other SUPERUSER LOGIN")
        other = await psycopg.AsyncConnection.connect(
            host=server.access.address.host, port=5432, user="other", dbname="postgres", autocommit=True
        )
        async with other:
            await other.execute('ALTER ROLE postgres RENAME TO "o\'Brien""s"')
        await server.stop(keep=True)
    async with oldest.port.recover(order(directory, kit.Folder(room))) as server:
        assert server.access.user == "o'Brien\"s"
        assert len(await kit.numbers(server.access)) > 0


async def test_copies_are_only_read_by_what_is_made_of_them(newest: kit.Source, room: Path) -> None:
    directory = await assembled(newest, room)
    originals = {path.stat().st_ino for one in newest.chain for path in one.rglob("*") if path.is_file()}
    assert not originals & {path.stat().st_ino for path in directory.rglob("*") if path.is_file()}
    async with newest.port.recover(order(directory, kit.Folder(newest.spool))) as server:
        await server.promote()
    for one in newest.chain:
        assert (await newest.port.verify(one)).is_good


async def test_a_chain_that_is_none_is_refused(newest: kit.Source, oldest: kit.Source, room: Path) -> None:
    full, incremental = newest.chain
    for chain, words in (
        ([incremental], "no full copy"),
        ([full, full], "it is a full copy"),
        ([oldest.chain[0], incremental], "different systems"),
    ):
        with pytest.raises(CopyDamaged, match=words):
            await newest.port.assemble(chain, room / "data", kit.quiet)
    with pytest.raises(UsageError, match="no copy was named"):
        await newest.port.assemble([], room / "data", kit.quiet)
    (room / "data").mkdir(exist_ok=True)
    (room / "data" / "something").write_text("of somebody")
    with pytest.raises(UsageError, match="new or empty"):
        await newest.port.assemble([full], room / "data", kit.quiet)


async def test_a_copy_of_a_version_that_is_not_installed_is_not_booted(oldest: kit.Source, room: Path) -> None:
    directory = await assembled(oldest, room)
    (directory / "PG_VERSION").write_text("14\n")
    with pytest.raises(BinariesMissing, match="no PostgreSQL 14 here"):
        async with oldest.port.recover(order(directory, kit.Folder(oldest.spool))):
            pass
    with pytest.raises(UsageError, match="not 15"):
        async with oldest.port.recover(order(directory, kit.Folder(oldest.spool), version="15.18")):
            pass


async def test_a_link_out_of_the_restored_directory_is_refused(oldest: kit.Source, room: Path) -> None:
    directory = await assembled(oldest, room)
    (directory / "pg_tblspc" / "16999").symlink_to(room)
    with pytest.raises(UsageError, match="is a link"):
        async with oldest.port.recover(order(directory, kit.Folder(oldest.spool))):
            pass


async def test_a_restored_server_does_not_outlive_a_killed_dbre(oldest: kit.Source, room: Path) -> None:
    directory = await assembled(oldest, room)
    script = textwrap.dedent(
        """
        import asyncio, json, sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[3])
        import postgres_kit as kit
        from dbre.core.programs.account import choose_account
        from dbre.core.programs.cache import cache_directory
        from dbre.engines.postgres.backup.port import PostgresBackups
        from dbre.ports.backup.engine import RecoverOrder
        from dbre.ports.backup.model import Place, RecoveryTarget, TargetKind
        account = choose_account({})
        port = PostgresBackups(Place(account=account, cache=cache_directory(account, {})))
        order = RecoverOrder(directory=Path(sys.argv[1]), target=RecoveryTarget(kind=TargetKind.LATEST),
                             log=kit.Folder(Path(sys.argv[2])))
        async def main():
            async with port.recover(order):
                print("up", flush=True)
                await asyncio.sleep(600)
        asyncio.run(main())
        """
    )
    command = [sys.executable, "-c", script, str(directory), str(oldest.spool), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: ASYNC220 -- only killed
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        pid = int((directory / "postmaster.pid").read_text().split()[0])
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + kit.LIMIT_SECONDS
    while Path(f"/proc/{pid}/cwd").exists():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_version_15_recovers_with_a_directory_in_the_place_of_a_tablespaces_link(oldest: kit.Source, room: Path) -> None:
    directory = await assembled(oldest, room)
    inside = directory / "pg_tblspc" / "99999"
    for path in (inside, inside / "PG_15_202209061"):
        path.mkdir(mode=0o700)
        give(path, oldest.site.account)
    forbidden = order(directory, kit.Folder(oldest.spool), extra_settings=(("allow_in_place_tablespaces", "off"),))
    with pytest.raises(RecoveryFailed, match="unexpected directory entry"):
        async with oldest.port.recover(forbidden):
            pass
    async with oldest.port.recover(order(directory, kit.Folder(oldest.spool))) as server:
        assert server.outcome.has_reached_target
