"""Copies: what stands in their way is told before, and nothing is left behind when they fail."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import postgres_kit as kit
import psycopg
import pytest
import pytest_asyncio
from psycopg import sql

from dbre.core.errors import Denied, Unreachable, Unsupported, UsageError
from dbre.core.fleet import TlsMode
from dbre.core.programs.errors import BinariesMissing
from dbre.core.secrets import Secret
from dbre.engines.postgres.backup import toolbox as toolbox_module
from dbre.engines.postgres.backup.port import PostgresBackups
from dbre.engines.postgres.backup.tls_bridge import tls_bridge
from dbre.engines.postgres.binaries import PostgresBinaries, list_postgres
from dbre.lab.postgres import PostgresServer, find_postgres
from dbre.lab.site import Site
from dbre.ports.backup.engine import RecoverOrder
from dbre.ports.backup.errors import CopyFailed
from dbre.ports.backup.model import ChecksumState, CopyKind, CopyOrder, ParentCopy, RecoveryTarget, TargetKind
from dbre.ports.engine import Access
from dbre.testing.fixtures import PostgresPair, leave_out, running


def an_order(room: Path, source: Site, **more: object) -> CopyOrder:
    directory = source.make_directory(room / f"copy-{len(list(room.iterdir()))}")
    return CopyOrder(set_id="of-a-test", kind=CopyKind.FULL, directory=directory, **more)  # type: ignore[arg-type]


def processes_with(word: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if word.encode() in (path / "cmdline").read_bytes() and int(path.name) != os.getpid():
                found.append(int(path.name))
    return found


async def until_gone(word: str) -> None:
    deadline = time.monotonic() + kit.LIMIT_SECONDS
    while left := processes_with(word):
        assert time.monotonic() < deadline, left
        await asyncio.sleep(0.05)


async def test_a_survey_tells_everything_that_a_planner_needs(newest: kit.Source, oldest: kit.Source) -> None:
    new, old = await newest.port.survey(newest.access), await oldest.port.survey(oldest.access)
    assert (new.version[0], old.version[0]) == (18, 15)
    assert (new.can_increment, new.why_no_increment) == (True, None)
    assert not old.can_increment
    assert "they came with 17" in (old.why_no_increment or "")
    assert new.system_id == newest.facts[0].system_id
    assert (new.timeline, new.segment_bytes, new.has_checksums, new.is_replica) == (1, 16 << 20, True, False)
    assert old.preload == ("pg_stat_statements",)
    assert not [one for one in (*new.problems, *old.problems) if one.is_blocking]
    assert "backup.no_replication_rule" not in {one.rule for one in (*new.problems, *old.problems)}
    assert old.increments_from is None
    assert new.increments_from is not None
    assert new.increments_from <= newest.facts[0].start  # the full copy could be a parent still


async def test_a_login_without_a_line_for_replication_is_told_before(oldest: kit.Source) -> None:
    rules = Path(oldest.server.data_directory, "pg_hba.conf")
    text = rules.read_text()
    try:
        rules.write_text(text.replace("replication", "somewhere"))
        problems = {one.rule: one for one in (await oldest.port.survey(oldest.access)).problems}
        assert not problems["backup.no_replication_rule"].is_blocking  # what the server goes by may still be older
        rules.write_text(f"host replication +{oldest.access.user} 127.0.0.1/32 scram-sha-256\nlocal all all trust\n")
        problems = {one.rule: one for one in (await oldest.port.survey(oldest.access)).problems}
        assert "backup.no_replication_rule" not in problems
    finally:
        rules.write_text(text)


async def test_what_a_login_lacks_is_told_before_and_not_by_a_failed_copy(oldest: kit.Source, room: Path) -> None:
    async with await oldest.server.connect() as connection:
        await connection.execute("CREATE ROLE weak LOGIN PASSWORD 'weak:with\\backslash'")
    access = oldest.server.access(user="weak", password=Secret("weak:with\\backslash"))
    problems = {one.rule: one for one in (await oldest.port.survey(access)).problems}
    assert problems["backup.no_replication_privilege"].is_blocking
    with pytest.raises(CopyFailed, match=r"permission|REPLICATION|must be"):
        await oldest.port.copy(access, an_order(room, oldest.site), kit.quiet)


async def test_a_password_with_every_odd_character_reaches_the_server_and_no_command_line(
    oldest: kit.Source, room: Path
) -> None:
    password = "colon:back\\slash 'quote\" späce%"
    async with await oldest.server.connect() as connection:
        statement = sql.SQL("CREATE ROLE odd LOGIN REPLICATION PASSWORD {}").format(sql.Literal(password))
        await connection.execute(statement)
    access = oldest.server.access(user="odd", password=Secret(password))
    seen: list[bytes] = []

    async def look(done: int, total: int | None) -> None:
        for pid in processes_with("pg_basebackup"):
            with contextlib.suppress(OSError):
                seen.append(Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes())

    order = an_order(room, oldest.site, bytes_per_second=8 << 20)
    facts = await oldest.port.copy(access, order, look)
    assert (await oldest.port.verify(order.directory)).is_good
    assert facts.checksums is ChecksumState.GOOD
    assert seen
    assert not [one for one in seen if b"slash" in one]


async def test_the_log_comes_along_where_it_is_wanted(oldest: kit.Source, room: Path) -> None:
    order = an_order(room, oldest.site, includes_log=True)
    facts = await oldest.port.copy(oldest.access, order, kit.quiet)
    found = await oldest.port.verify(order.directory)
    assert found.is_good, found.faults
    files = sorted(path for path in (order.directory / "pg_wal").iterdir() if path.is_file())
    assert facts.start is not None
    assert (await oldest.port.scan_log(files, start=facts.start, end=facts.stop)).is_good


async def let_pages_be_whole(pair: PostgresPair, value: str) -> None:
    """Until a checkpoint that says so was replayed: without, no replica lets itself be copied."""
    async with await pair.primary.connect() as connection:
        await connection.execute(f"ALTER SYSTEM SET full_page_writes = {value}".encode())
        await connection.execute("SELECT pg_reload_conf()")
        deadline = time.monotonic() + kit.LIMIT_SECONDS
        while True:  # the checkpointer hears of it in its own time
            await connection.execute("SELECT pg_logical_emit_message(true, 'dbre', 'so that there is something')")
            await connection.execute("CHECKPOINT")
            row = await (
                await connection.execute("SELECT full_page_writes, pg_current_wal_lsn() FROM pg_control_checkpoint()")
            ).fetchone()
            assert row is not None
            if row[0] is (value == "on"):
                break
            assert time.monotonic() < deadline
    async with await pair.replica.connect() as connection:
        deadline = time.monotonic() + kit.LIMIT_SECONDS
        while await (await connection.execute("SELECT pg_last_wal_replay_lsn() >= %s", [row[1]])).fetchone() != (True,):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        await connection.execute("CHECKPOINT")


async def test_a_replica_whose_primary_writes_no_whole_pages_is_refused_before_the_copy(postgres_pair: PostgresPair) -> None:
    port, rule = PostgresBackups(kit.place_of(postgres_pair.primary.site)), "backup.replica_without_whole_pages"
    await let_pages_be_whole(postgres_pair, "off")
    told = {one.rule: one.is_blocking for one in (await port.survey(postgres_pair.replica.access())).problems}
    assert told.get(rule) is True
    told = {one.rule: one.is_blocking for one in (await port.survey(postgres_pair.primary.access())).problems}
    assert told.get("backup.no_full_page_writes") is False
    assert rule not in told


async def test_a_copy_from_a_replica_is_one_of_the_same_system(postgres_pair: PostgresPair, room: Path) -> None:
    pair = postgres_pair
    port = PostgresBackups(kit.place_of(pair.primary.site))
    order = an_order(room, pair.primary.site, includes_log=True)
    await let_pages_be_whole(pair, "on")
    facts = await port.copy(pair.replica.access(), order, kit.quiet)
    assert facts.details["is_from_replica"] is True
    assert facts.system_id == (await port.survey(pair.primary.access())).system_id
    assert (await port.survey(pair.replica.access())).is_replica
    assert (await port.verify(order.directory)).is_good


async def test_damaged_pages_are_told_and_are_no_copy(fresh_postgres: PostgresServer, room: Path) -> None:
    server = fresh_postgres
    async with await server.connect() as connection:
        await connection.execute("CREATE TABLE victim AS SELECT generate_series(1, 5000) AS i")
        await connection.execute("CHECKPOINT")
        row = await (await connection.execute("SELECT pg_relation_filepath('victim')")).fetchone()
    assert row is not None
    path = server.data_directory / row[0]
    with path.open("r+b") as file:
        file.seek(8192 + 4000)
        byte = file.read(1)
        file.seek(8192 + 4000)
        file.write(bytes([byte[0] ^ 0xFF]))
    port = PostgresBackups(kit.place_of(server.site))
    with pytest.raises(CopyFailed, match="damaged pages") as caught:
        await port.copy(server.access(), an_order(room, server.site), kit.quiet)
    assert caught.value.context["checksums"] == "bad"
    unchecked = an_order(room, server.site, verifies_checksums=False)
    facts = await port.copy(server.access(), unchecked, kit.quiet)
    assert facts.checksums is ChecksumState.UNCHECKED
    assert (await port.verify(unchecked.directory)).is_good, "a manifest proves the copy, not the source"


async def test_tablespaces_come_home_and_can_be_combined_and_started(fresh_postgres: PostgresServer, room: Path) -> None:
    server = fresh_postgres
    port, place = PostgresBackups(kit.place_of(server.site)), server.site.make_directory(room / "space = \\ odd")
    async with await server.connect() as connection:
        await connection.execute("ALTER SYSTEM SET summarize_wal = on")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.execute(sql.SQL("CREATE TABLESPACE far LOCATION {}").format(sql.Literal(str(place))))
        await connection.execute("CREATE TABLE ledger TABLESPACE far AS SELECT generate_series(1, 1000) AS number")
    assert (await port.survey(server.access())).tablespaces
    full = an_order(room, server.site, includes_log=True)
    await port.copy(server.access(), full, kit.quiet)
    async with await server.connect() as connection:
        await connection.execute("INSERT INTO ledger VALUES (1001)")
    parent = ParentCopy(set_id="full", manifest=full.directory / "backup_manifest")
    more = replace(an_order(room, server.site, includes_log=True, parent=parent), kind=CopyKind.INCREMENTAL)
    await port.copy(server.access(), more, kit.quiet)
    for one in (full, more):
        found = await port.verify(one.directory)
        assert found.is_good, found.faults
        assert not [path for path in one.directory.rglob("*") if path.is_symlink()]
    await port.assemble([full.directory, more.directory], room / "data", kit.quiet)
    order = RecoverOrder(directory=room / "data", target=RecoveryTarget(kind=TargetKind.IMMEDIATE), log=None)
    async with port.recover(order) as restored:
        assert len(await kit.numbers(restored.access)) == 1001


@pytest.fixture
def temporary(room: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary directory that no other test uses."""
    directory = room / "temporary"
    directory.mkdir(mode=0o711)
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    monkeypatch.setenv("TMPDIR", str(directory))
    return directory


async def test_a_copy_that_is_killed_or_given_up_is_told_and_leaves_nothing(
    oldest: kit.Source, room: Path, temporary: Path
) -> None:
    order = an_order(room, oldest.site, bytes_per_second=1 << 20)
    word = str(order.directory)
    task = asyncio.create_task(oldest.port.copy(oldest.access, order, kit.quiet))
    deadline = time.monotonic() + kit.LIMIT_SECONDS
    while not (order.directory / "backup_label").exists():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    for pid in processes_with(word):
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(CopyFailed, match="signal 9"):
        await task
    found = await oldest.port.verify(order.directory)
    assert [fault.rule for fault in found.faults] == ["manifest"]

    class Enough(Exception):
        pass

    async def give_up(done: int, total: int | None) -> None:
        raise Enough

    another = an_order(room, oldest.site, bytes_per_second=1 << 20)
    with pytest.raises(Enough):
        await oldest.port.copy(oldest.access, another, give_up)
    await until_gone(word)
    await until_gone(str(another.directory))
    assert list(temporary.iterdir()) == []


async def test_a_copy_does_not_outlive_a_killed_dbre(oldest: kit.Source, room: Path, temporary: Path) -> None:
    order = an_order(room, oldest.site)
    script = textwrap.dedent(
        """
        import asyncio, sys
        from pathlib import Path
        from dbre.core.fleet import Address, TlsMode
        from dbre.core.programs.account import choose_account
        from dbre.core.programs.cache import cache_directory
        from dbre.core.secrets import Secret
        from dbre.engines.postgres.backup.port import PostgresBackups
        from dbre.ports.backup.model import CopyKind, CopyOrder, Place
        from dbre.ports.engine import Access
        account = choose_account({})
        port = PostgresBackups(Place(account=account, cache=cache_directory(account, {})))
        access = Access(address=Address("127.0.0.1", int(sys.argv[2])), user="postgres", database="postgres",
                        password=Secret(sys.stdin.readline().strip()), tls=TlsMode.DISABLE)
        async def quiet(done, total):
            pass
        order = CopyOrder(set_id="x", kind=CopyKind.FULL, directory=Path(sys.argv[1]), bytes_per_second=1 << 20)
        asyncio.run(port.copy(access, order, quiet))
        """
    )
    command = [sys.executable, "-c", script, str(order.directory), str(oldest.server.address.port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as process:  # noqa: ASYNC220 -- only killed
        assert process.stdin is not None
        process.stdin.write(oldest.server.password.reveal() + "\n")
        process.stdin.flush()
        deadline = time.monotonic() + kit.LIMIT_SECONDS
        while not (order.directory / "backup_label").exists():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    await until_gone(str(order.directory))
    left = list(temporary.iterdir())
    assert left, "what was there when it was killed"
    await oldest.port.copy(oldest.access, an_order(room, oldest.site), kit.quiet)
    assert not [path for path in left if path.exists()], "the next one sweeps"


async def test_copies_that_cannot_be_are_refused_with_the_reason(oldest: kit.Source, newest: kit.Source, room: Path) -> None:
    parent = ParentCopy(set_id="full", manifest=oldest.chain[0] / "backup_manifest")
    order = replace(an_order(room, oldest.site, parent=parent), kind=CopyKind.INCREMENTAL)
    with pytest.raises(Unsupported, match="they came with 17"):
        await oldest.port.copy(oldest.access, order, kit.quiet)
    with pytest.raises(UsageError, match="has no parent"):
        await newest.port.copy(newest.access, replace(order, parent=None), kit.quiet)
    foreign = replace(order, parent=ParentCopy(set_id="x", manifest=newest.chain[0] / "backup_manifest"))
    async with _another(newest) as other:
        with pytest.raises(CopyFailed, match="system identifier"):
            await newest.port.copy(other.access(), foreign, kit.quiet)
    with pytest.raises(UsageError, match="must be an empty directory"):
        await oldest.port.copy(oldest.access, replace(order, directory=oldest.chain[0]), kit.quiet)
    nobody = replace(oldest.access, address=replace(oldest.access.address, port=1))
    with pytest.raises(Unreachable):
        await oldest.port.copy(nobody, an_order(room, oldest.site), kit.quiet)
    with pytest.raises(Denied):
        await oldest.port.survey(replace(oldest.access, password=Secret("wrong")))


@contextlib.asynccontextmanager
async def _another(source: kit.Source) -> AsyncIterator[PostgresServer]:
    server = PostgresServer("another", source.site, binaries=source.server.binaries, settings={"summarize_wal": "on"})
    async with running(server):
        yield server


async def test_programs_are_tried_and_not_believed(oldest: kit.Source) -> None:
    old = {one.name: one for one in await oldest.port.tools(version="15.18")}
    assert all(old[name].problem is None for name in ("pg_basebackup", "pg_receivewal", "pg_waldump", "postgres"))
    new = {one.name: one for one in await oldest.port.tools(version="18")}
    assert new["pg_combinebackup"].problem is None
    broken = new["pg_verifybackup"]
    assert broken.problem is None or "not needed" in broken.problem
    unknown = {one.name: one for one in await oldest.port.tools(version="14.1")}
    assert "no PostgreSQL 14 here" in (unknown["postgres"].problem or "")
    assert unknown["pg_basebackup"].problem is None, "a newer client can copy an older server"
    future = {one.name: one for one in await oldest.port.tools(version="99")}
    assert "of version 99 or newer" in (future["pg_basebackup"].problem or "")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def encrypted(lab_site: Site) -> AsyncIterator[tuple[PostgresServer, Path]]:
    """PostgreSQL 15 that takes encrypted connections only, and the authority of its certificate."""
    try:
        binaries = await find_postgres(account=lab_site.account, cache=lab_site.cache, version=15)
    except Unsupported as error:
        leave_out(error)
    home = lab_site.make_directory(lab_site.directory / "certificates")
    subprocess.run(  # noqa: ASYNC221 -- ends in a moment
        ["openssl", "req", "-new", "-x509", "-days", "2", "-nodes", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost", "-out", home / "server.crt", "-keyout", home / "server.key"],
        check=True, capture_output=True, **lab_site.account.credentials(),
    )  # fmt: skip
    settings = {"ssl": "on", "ssl_cert_file": str(home / "server.crt"), "ssl_key_file": str(home / "server.key")}
    server = PostgresServer("encrypted", lab_site, binaries=binaries, settings=settings)
    async with running(server):
        async with await server.connect() as connection:
            for statement in ("CREATE TABLE ledger AS SELECT 1 AS number",):
                await connection.execute(statement)
            (server.data_directory / "pg_hba.conf").write_text(
                "hostssl all all all scram-sha-256\nhostssl replication all all scram-sha-256\n"
            )
            await connection.execute("SELECT pg_reload_conf()")
        yield server, home / "server.crt"


def _over_tls(server: PostgresServer, tls: TlsMode, authority: Path | None, host: str = "localhost") -> Access:
    address = replace(server.address, host=host)
    return replace(server.access(), address=address, tls=tls, tls_ca_file=str(authority) if authority else None)


@pytest.mark.parametrize("is_bridged", [True, False], ids=["bridge", "own-tls"])
async def test_a_server_that_demands_tls_is_copied_with_it(
    encrypted: tuple[PostgresServer, Path], room: Path, is_bridged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, authority = encrypted
    if is_bridged:
        monkeypatch.setattr(toolbox_module.Toolbox, "installed", _wheels_only)
    port = PostgresBackups(kit.place_of(server.site))
    access = _over_tls(server, TlsMode.VERIFY_FULL, authority)
    seen: list[tuple[bool, str]] = []

    async def look(done: int, total: int | None) -> None:
        conninfo = psycopg.conninfo.make_conninfo(server.conninfo(), sslmode="require")
        async with await psycopg.AsyncConnection.connect(conninfo) as connection:
            cursor = await connection.execute("SELECT s.ssl, s.version FROM pg_stat_ssl s JOIN pg_stat_replication USING (pid)")
            seen.extend(await cursor.fetchall())

    order = an_order(room, server.site, bytes_per_second=8 << 20)
    facts = await port.copy(access, order, look)
    assert facts.tool.startswith("pg_basebackup (PostgreSQL) 15") is not is_bridged
    assert (await port.verify(order.directory)).is_good
    assert set(seen) == {(True, "TLSv1.3")}


async def _wheels_only(self: toolbox_module.Toolbox) -> list[PostgresBinaries]:
    return [one for one in list_postgres() if one.source == "wheel"]


async def test_the_bridge_talks_to_nobody_whom_it_cannot_verify(
    encrypted: tuple[PostgresServer, Path], room: Path, tmp_path: Path
) -> None:
    server, authority = encrypted
    stranger = tmp_path / "stranger.crt"
    subprocess.run(  # noqa: ASYNC221 -- ends in a moment
        ["openssl", "req", "-new", "-x509", "-days", "2", "-nodes", "-subj", "/CN=localhost", "-out", stranger,
         "-keyout", tmp_path / "key"], check=True, capture_output=True,
    )  # fmt: skip
    cases = [
        (_over_tls(server, TlsMode.VERIFY_FULL, authority), None),
        (_over_tls(server, TlsMode.VERIFY_CA, authority, host="127.0.0.1"), None),
        (_over_tls(server, TlsMode.VERIFY_FULL, authority, host="127.0.0.1"), "certificate verify failed"),
        (_over_tls(server, TlsMode.VERIFY_FULL, stranger), "certificate verify failed"),
        (_over_tls(server, TlsMode.VERIFY_CA, stranger), "certificate verify failed"),
    ]
    for number, (access, refusal) in enumerate(cases):
        directory = server.site.make_directory(room / f"bridge-{number}")
        async with tls_bridge(access, server.site.account, directory=directory) as address:
            conninfo = psycopg.conninfo.make_conninfo(
                server.conninfo(), host=address.host, port=address.port, channel_binding="prefer"
            )
            if refusal is None:
                async with await psycopg.AsyncConnection.connect(conninfo) as connection:
                    row = await (
                        await connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
                    ).fetchone()
                assert row == (True,)
            else:
                with pytest.raises(psycopg.OperationalError, match=refusal):
                    await psycopg.AsyncConnection.connect(conninfo)


async def test_no_client_at_all_is_told_with_what_there_is(oldest: kit.Source, monkeypatch: pytest.MonkeyPatch) -> None:
    async def none(self: toolbox_module.Toolbox) -> list[PostgresBinaries]:
        return []

    monkeypatch.setattr(toolbox_module.Toolbox, "installed", none)
    port = PostgresBackups(kit.place_of(oldest.site))
    problems = {one.rule: one.is_blocking for one in (await port.survey(oldest.access)).problems}
    assert problems["backup.no_client"]
    with pytest.raises(BinariesMissing, match="found: none"):
        await toolbox_module.Toolbox(kit.place_of(oldest.site)).client(15, wants_tls=False)
