"""What can happen to a file: each fault is one clear error, and nothing is made worse."""

import asyncio
import errno
import os
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from sqlalchemy import text

from dbre.core.errors import ExitCode, StoreError
from dbre.core.store.address import SqliteAddress
from dbre.core.store.copy import copy_sqlite
from dbre.core.store.errors import NotAStore, StoreBusy, StoreCorrupt, StoreFull, StoreMissing, StoreNotWritable
from dbre.core.store.mounts import file_system_type, place_warnings
from dbre.core.store.sqlite_connection import connect_sqlite
from dbre.core.store.status import inspect_store

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system, which only root may")


async def _make(place) -> None:
    async with place.open(migrate=True) as store, store.begin() as connection:
        await connection.execute(text("CREATE TABLE blob (a)"))


async def _fill(place, size: int) -> None:
    async with place.open() as store, store.begin() as connection:
        await connection.execute(text("INSERT INTO blob VALUES (zeroblob(:size))"), {"size": size})


async def _open(place) -> None:
    async with place.open() as store, store.read() as connection:
        await connection.execute(text("SELECT count(*) FROM event"))


async def _begin(place) -> None:
    async with place.open() as store, store.begin() as connection:
        await connection.execute(text("UPDATE event SET kind = kind"))


async def test_the_file_and_its_companions_are_private(file_place, monkeypatch: pytest.MonkeyPatch) -> None:
    old = os.umask(0)
    try:
        async with file_place.open(exclusive=True, migrate=True) as store, store.begin() as connection:
            await connection.execute(text("UPDATE event SET kind = kind"))
            modes = {path.name: path.stat().st_mode & 0o777 for path in file_place.path.parent.iterdir()}
    finally:
        os.umask(old)
    assert modes == dict.fromkeys(("dbre.db", "dbre.db-wal", "dbre.db-shm", "dbre.db.lock"), 0o600)


async def test_durability_is_what_was_promised(file_place) -> None:
    async with file_place.open(migrate=True) as store:
        for make in (store.begin, store.read):
            async with make() as connection:
                found = [
                    (await connection.execute(text(f"PRAGMA {name}"))).scalar_one() for name in ("journal_mode", "busy_timeout")
                ]
                assert found == ["wal", 5000]
        async with store.begin() as connection:
            assert (await connection.execute(text("PRAGMA synchronous"))).scalar_one() == 2  # FULL
            assert (await connection.execute(text("PRAGMA foreign_keys"))).scalar_one() == 1


async def test_a_missing_directory_is_made_private(tmp_path: Path, make_place) -> None:
    place = make_place(tmp_path / "a" / "b" / "dbre.db")
    await _make(place)
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


async def test_an_interrupted_creation_leaves_no_store_and_does_not_hinder_the_next(file_place) -> None:
    file_place.path.with_name("dbre.db.new").write_bytes(b"half a store")
    file_place.path.with_name("dbre.db.new-wal").write_bytes(b"half a log")
    with pytest.raises(StoreMissing):
        await _open(file_place)
    await _make(file_place)
    await _open(file_place)
    assert not file_place.path.with_name("dbre.db.new").exists()


async def test_a_log_without_its_file_is_neither_lost_nor_written_into_a_new_store(file_place) -> None:
    await _make(file_place)
    log, aside = (file_place.path.with_name(name) for name in ("dbre.db-wal", "aside"))
    async with file_place.open() as store:
        async with store.begin() as connection:
            await connection.execute(text("INSERT INTO blob VALUES ('written last')"))
        left = log.read_bytes()  # what a killed control plane leaves behind
    file_place.path.rename(aside)
    log.write_bytes(left)
    for options in ({}, {"exclusive": True, "migrate": True}):
        with pytest.raises(StoreCorrupt, match=r"is gone, but its log dbre\.db-wal is there"):
            async with file_place.open(**options):
                pass
    assert log.read_bytes() == left
    log.unlink()
    await _make(file_place)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "empty file"), (b"garbage " * 4096, "is no SQLite database"), (os.urandom(8192), "is no SQLite database")],
)
async def test_garbage_is_refused_and_left_as_it_is(file_place, content: bytes, reason: str) -> None:
    file_place.path.write_bytes(content)
    for options in ({}, {"exclusive": True, "migrate": True}):
        with pytest.raises(StoreCorrupt, match=reason) as caught:
            async with file_place.open(**options):
                pass
        assert "dbre db backup" in str(caught.value.hint)
        assert caught.value.exit_code is ExitCode.FAILED
    assert file_place.path.read_bytes() == content


async def test_damage_in_the_middle_is_noticed_before_a_control_plane_works_with_it(file_place) -> None:
    await _make(file_place)
    async with file_place.open() as store, store.begin() as connection:
        await connection.execute(text("CREATE TABLE history (id INTEGER PRIMARY KEY, told TEXT)"))
        rows = [{"told": "x" * 500} for _ in range(2_000)]
        await connection.execute(text("INSERT INTO history (told) VALUES (:told)"), rows)
    damaged = bytearray(file_place.path.read_bytes())
    middle = len(damaged) // 8192 * 4096  # whole pages of rows that nobody reads at the start
    damaged[middle : middle + 4 * 4096] = b"\xff" * (4 * 4096)
    file_place.path.write_bytes(damaged)
    with pytest.raises(StoreCorrupt, match="is damaged"):
        async with file_place.open(exclusive=True, migrate=True):
            pass
    assert file_place.path.read_bytes() == damaged


async def test_a_truncated_file_is_refused(file_place) -> None:
    await _make(file_place)
    await _fill(file_place, 100_000)
    whole = file_place.path.read_bytes()
    for keep in (len(whole) // 2, 5000, 4096, 1000, 100, 20):
        file_place.path.write_bytes(whole[:keep])
        with pytest.raises(StoreError) as caught:
            await _begin(file_place)
        assert isinstance(caught.value, StoreCorrupt), f"{keep} bytes: {caught.value!r}"


async def test_any_flipped_bit_in_the_header_gives_the_data_or_a_clear_error(file_place) -> None:
    await _make(file_place)
    whole = file_place.path.read_bytes()
    seen: list[StoreError] = []
    for offset in range(100):
        damaged = bytearray(whole)
        damaged[offset] ^= 1 << random.Random(offset).randrange(8)
        file_place.path.write_bytes(bytes(damaged))
        for end in ("-wal", "-shm"):
            file_place.path.with_name("dbre.db" + end).unlink(missing_ok=True)
        try:
            await _begin(file_place)
        except StoreError as error:
            seen.append(error)
    assert any(isinstance(one, StoreCorrupt) for one in seen)
    assert all(one.hint for one in seen)


async def test_damage_inside_is_found_by_a_check_and_by_a_copy(file_place) -> None:
    await _make(file_place)
    async with file_place.open() as store, store.begin() as connection:
        await connection.execute(
            text("INSERT INTO event (id, kind, subject, at, data) SELECT hex(randomblob(16)), 'a.b', 's', 1, '{}' FROM"
                 " (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) SELECT i FROM n)")
        )  # fmt: skip
    whole = bytearray(file_place.path.read_bytes())
    middle = len(whole) // 2 // 4096 * 4096
    whole[middle : middle + 200] = b"\xff" * 200
    file_place.path.write_bytes(bytes(whole))
    status = await inspect_store(file_place.url, check=True)
    assert isinstance(status.problem, StoreCorrupt)
    assert status.integrity not in (None, "ok")


async def test_a_file_locked_by_another_process_is_waited_for_and_then_named(
    file_place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _make(file_place)
    monkeypatch.setattr("dbre.core.store.sqlite.LOCK_WAIT_SECONDS", 0.3)
    with closing(sqlite3.connect(file_place.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with file_place.open() as store:
            with pytest.raises(StoreBusy, match="locked by another process") as caught:
                async with store.begin():
                    pass
            assert caught.value.retryable
            other.execute("ROLLBACK")
            async with store.begin() as connection:  # the same open store goes on
                await connection.execute(text("UPDATE event SET kind = kind"))
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(_begin(file_place))
        await asyncio.sleep(0.1)
        other.execute("COMMIT")
        await waiting  # a lock that is held for less than the wait is no error


async def test_a_file_system_without_locks_is_named(file_place, monkeypatch: pytest.MonkeyPatch) -> None:
    await _make(file_place)

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)  # no such file system can be mounted here
    with pytest.raises(StoreNotWritable, match="cannot be locked: No locks available") as caught:
        async with file_place.open(exclusive=True):
            pass
    assert "local disk" in str(caught.value.hint)
    assert isinstance((await inspect_store(file_place.url)).problem, StoreNotWritable)


async def test_a_directory_in_the_place_of_the_file(tmp_path: Path, make_place) -> None:
    (tmp_path / "dbre.db").mkdir()
    with pytest.raises(NotAStore, match="not a file"):
        await _open(make_place(tmp_path / "dbre.db"))


async def test_a_file_in_the_place_of_the_directory(tmp_path: Path, make_place) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StoreNotWritable, match="cannot be made: "):
        await _make(make_place(tmp_path / "state" / "dbre.db"))


@pytest.fixture
def small_file_system(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB that a test may fill, or make read-only."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@needs_root
async def test_a_full_disk_loses_nothing_and_is_recovered_from(small_file_system: Path, make_place) -> None:
    place = make_place(small_file_system / "dbre.db")
    await _make(place)
    async with place.open() as store:
        async with store.begin() as connection:
            await connection.execute(text("INSERT INTO blob VALUES ('kept')"))
        ballast = small_file_system / "ballast"
        ballast.write_bytes(b"x" * (shutil.disk_usage(small_file_system).free - 8192))
        with pytest.raises(StoreFull, match=r"cannot grow: .* are free in") as caught:
            async with store.begin() as connection:
                await connection.execute(text("INSERT INTO blob VALUES (zeroblob(400000))"))
        assert caught.value.exit_code is ExitCode.FAILED
        assert "free some space" in str(caught.value.hint)
        async with store.read() as connection:  # reading goes on
            assert (await connection.execute(text("SELECT a FROM blob"))).scalars().all() == ["kept"]
        ballast.unlink()
        async with store.begin() as connection:  # and so does writing, once there is space, without a restart
            await connection.execute(text("INSERT INTO blob VALUES (zeroblob(1000))"))
    assert (await inspect_store(place.url, check=True)).integrity == "ok"


@needs_root
async def test_a_store_cannot_be_made_on_a_full_disk_and_nothing_is_left_of_it(small_file_system: Path, make_place) -> None:
    (small_file_system / "ballast").write_bytes(b"x" * shutil.disk_usage(small_file_system).free)
    with pytest.raises(StoreError) as caught:
        await _make(make_place(small_file_system / "dbre.db"))
    assert isinstance(caught.value, StoreFull), repr(caught.value)
    assert not (small_file_system / "dbre.db").exists()


@needs_root
async def test_a_copy_that_does_not_fit_blames_the_place_of_the_copy(small_file_system: Path, file_place) -> None:
    await _make(file_place)
    await _fill(file_place, 3_000_000)
    before = shutil.disk_usage(small_file_system).free
    with pytest.raises(StoreFull, match=rf"{small_file_system}/copy\.db\.part cannot grow: .* are free there"):
        await copy_sqlite(SqliteAddress(path=file_place.path), small_file_system / "copy.db")
    assert list(small_file_system.iterdir()) == []
    assert shutil.disk_usage(small_file_system).free == before


@needs_root
async def test_a_read_only_directory_is_named(small_file_system: Path, make_place) -> None:
    place = make_place(small_file_system / "dbre.db")
    await _make(place)
    subprocess.run(["mount", "-o", "remount,ro", str(small_file_system)], check=True)  # noqa: ASYNC221 (ends at once)
    with pytest.raises(StoreNotWritable, match="Read-only file system") as caught:
        async with place.open(exclusive=True):
            pass
    assert "write" in str(caught.value.hint)
    with pytest.raises(StoreNotWritable):
        await _begin(place)
    new = make_place(small_file_system / "new.db")
    with pytest.raises(StoreNotWritable, match="Read-only file system"):
        await _make(new)


def test_the_file_system_of_a_path_is_found_below_its_mount_point(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 0:20 / / rw shared:1 - ext4 /dev/sda1 rw\n"
        "30 22 0:40 / /srv/state\\040of\\040dbre rw shared:2 master:1 - nfs4 filer:/x rw\n"
        "31 30 0:41 / /srv/state\\040of\\040dbre/local rw - xfs /dev/sdb rw\n"
        "nonsense\n"
    )
    assert file_system_type(Path("/srv/state of dbre/dbre.db"), mounts=mounts) == "nfs4"
    assert file_system_type(Path("/srv/state of dbre/local/dbre.db"), mounts=mounts) == "xfs"
    assert file_system_type(Path("/srv/state of dbre-2/dbre.db"), mounts=mounts) == "ext4"
    assert file_system_type(Path("/x"), mounts=tmp_path / "none") is None
    warnings = place_warnings(Path("/srv/state of dbre/dbre.db"), mounts=mounts)
    assert "network file system (nfs4)" in warnings[0]
    assert place_warnings(Path("/var/dbre.db"), mounts=mounts) == ()


def test_the_file_system_of_this_machine_is_found(tmp_path: Path) -> None:
    assert file_system_type(tmp_path)
    assert file_system_type(Path("/proc/self")) == "proc"


@pytest.mark.parametrize("is_stopped_first", [False, True])
async def test_a_connection_that_is_closed_and_stopped_at_once_ends(tmp_path: Path, is_stopped_first: bool) -> None:
    connection = await connect_sqlite(str(tmp_path / "a.db"))
    async with asyncio.timeout(20):  # SQLAlchemy does this to the connection of a task that was cancelled
        if is_stopped_first:
            connection.stop()
            with suppress(ValueError):  # it is closed already
                await connection.close()
        else:
            ending = asyncio.ensure_future(connection.close())
            await asyncio.sleep(0)
            connection.stop()
            connection._thread.join(10)  # its answers come to this loop once the thread has ended
            await ending
    connection._thread.join(10)
    assert not connection._thread.is_alive()
