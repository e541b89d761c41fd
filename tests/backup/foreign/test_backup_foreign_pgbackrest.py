"""The pgBackRest adapter on repositories that pgBackRest made."""

from pathlib import Path

import foreign_kit as kit
import pytest

from dbre.core.errors import Conflict, UsageError
from dbre.core.programs.errors import ProgramFailed
from dbre.ports.backup.errors import CopyDamaged, LogConflict
from dbre.ports.backup.model import CopyKind, LogKind, RecoveryTarget, TargetKind
from dbre.tools.pgbackrest.program import BackupSetUnusable

pytestmark = pytest.mark.timeout(300)  # a busy machine needs minutes for the repositories of all tests
LATEST = RecoveryTarget(kind=TargetKind.LATEST)


def stored(foreign: kit.Foreign, number: int) -> Path:
    """One of the segments, counted from the oldest."""
    return sorted(foreign.pgbackrest_log.glob("*-*"))[number]


async def test_sets_log_and_segment_size_are_read_from_a_real_repository(foreign: kit.Foreign) -> None:
    facts = await foreign.pgbackrest().look()
    full, incremental, newest = facts.sets
    assert (full.kind, incremental.kind, newest.kind) == (CopyKind.FULL, CopyKind.INCREMENTAL, CopyKind.FULL)
    assert incremental.parent == full.label
    [(system_id,)] = await foreign.sql("SELECT system_identifier::text FROM pg_control_system()")
    assert {one.system_id for one in facts.sets} == {system_id} == {one.system_id for one in facts.logs}
    assert facts.segment_bytes == 16 * 2**20
    assert {one.file.name for one in facts.logs} == {path.name[:24] for path in foreign.pgbackrest_log.glob("*-*")}
    assert all(one.file.kind is LogKind.SEGMENT for one in facts.logs)
    assert facts.problems == ()


async def test_a_log_file_is_fetched_as_the_server_wrote_it(foreign: kit.Foreign, tmp_path: Path) -> None:
    name = stored(foreign, -1).name[:24]
    into = tmp_path / "segment"
    assert await foreign.pgbackrest().fetch(name, into) is True
    assert into.stat().st_size == 16 * 2**20
    assert list(tmp_path.iterdir()) == [into]
    dumped = foreign.run("/usr/lib/postgresql/15/bin/pg_waldump", "-q", stored_copy(foreign, into, name))
    assert dumped.returncode == 0, dumped.stderr


def stored_copy(foreign: kit.Foreign, path: Path, name: str) -> Path:
    """Where the account of the tools can read it."""
    place = foreign.home / name
    place.write_bytes(path.read_bytes())
    place.chmod(0o644)
    return place


async def test_absence_is_told_only_where_the_listing_has_no_such_file(foreign: kit.Foreign, tmp_path: Path) -> None:
    assert await foreign.pgbackrest().fetch("0000000100000000000000FE", tmp_path / "a") is False
    assert await foreign.pgbackrest().fetch("00000002.history", tmp_path / "b") is False
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ProgramFailed, match="no log of the server 42"):
        await foreign.pgbackrest().fetch(stored(foreign, -1).name[:24], tmp_path / "c", system_id="42")
    with pytest.raises(ProgramFailed):
        await foreign.pgbackrest(config=foreign.home / "none.conf").fetch(stored(foreign, -1).name[:24], tmp_path / "d")


@pytest.mark.slow
async def test_a_flipped_byte_in_a_stored_segment_is_damage_though_verify_ends_with_0(
    broken: kit.Foreign, tmp_path: Path
) -> None:
    path = stored(broken, -2)
    kit.flip_within(path)
    with pytest.raises(CopyDamaged):
        await broken.pgbackrest().fetch(path.name[:24], tmp_path / "segment")
    assert list(tmp_path.iterdir()) == []
    [fault] = (await broken.pgbackrest().verify()).faults  # another exit status than 0 would have been raised
    assert fault.subject == "archive 15-1"


async def test_a_segment_with_other_content_than_its_name_says_is_damage(broken: kit.Foreign, tmp_path: Path) -> None:
    path = stored(broken, -2)
    path.write_bytes(stored(broken, -1).read_bytes())  # a good file, of another segment
    with pytest.raises(CopyDamaged, match="SHA-1"):
        await broken.pgbackrest().fetch(path.name[:24], tmp_path / "segment")


async def test_two_contents_of_one_segment_are_a_conflict(broken: kit.Foreign, tmp_path: Path) -> None:
    path = stored(broken, -2)
    path.with_name(f"{path.name[:24]}-{'0' * 40}.gz").write_bytes(path.read_bytes())
    [problem] = (await broken.pgbackrest().look()).problems
    assert problem.rule == "backup.log_conflict"
    assert problem.is_blocking
    with pytest.raises(LogConflict):
        await broken.pgbackrest().fetch(path.name[:24], tmp_path / "segment")


async def test_a_flipped_byte_in_a_set_is_a_fault_of_that_set_though_verify_ends_with_0(broken: kit.Foreign) -> None:
    label = (await broken.pgbackrest().look()).sets[-1].label
    file = broken.home / "repo/backup" / kit.STANZA / label / "pg_data/base/1/1259.gz"
    kit.flip(file, at=file.stat().st_size // 2)
    assert broken.run_pgbackrest("--log-level-file=off", "verify").returncode == 0
    verified = await broken.pgbackrest().verify(label)
    assert [one.subject for one in verified.faults] == [label]
    assert not verified.is_good


async def test_a_good_repository_verifies_without_a_fault(foreign: kit.Foreign) -> None:
    verified = await foreign.pgbackrest().verify()
    assert verified.is_good
    assert verified.files > 1_000


async def test_a_set_is_restored_into_a_new_directory_with_its_tablespaces_in_it(foreign: kit.Foreign) -> None:
    newest = (await foreign.pgbackrest().look()).sets[-1]
    directory = foreign.site.make_directory(foreign.home.parent / "restored-pgbackrest")
    await foreign.pgbackrest().restore(newest.label, directory, target=LATEST)
    assert (directory / "PG_VERSION").read_text() == "15\n"
    assert "restore_command" not in (directory / "postgresql.auto.conf").read_text()
    [space] = (directory / "pg_tblspc").iterdir()
    assert space.is_dir()
    assert not space.is_symlink()
    assert any(one.is_file() for one in space.rglob("*"))
    with pytest.raises(Conflict, match="contains files"):
        await foreign.pgbackrest().restore(newest.label, directory, target=LATEST)


async def test_a_set_that_is_not_there_is_named(foreign: kit.Foreign) -> None:
    directory = foreign.site.make_directory(foreign.home.parent / "restored-nothing")
    with pytest.raises(BackupSetUnusable, match="20200101-000000F"):
        await foreign.pgbackrest().restore("20200101-000000F", directory, target=LATEST)
    assert list(directory.iterdir()) == []
    assert not (foreign.home.parent / "restored-nothing.tablespaces").exists()


async def test_expiry_tells_the_sets_that_the_tool_deletes(broken: kit.Foreign) -> None:
    config = broken.pgbackrest_config
    *labels, newest = [one.label for one in (await broken.pgbackrest().look()).sets]
    assert await broken.pgbackrest().expire(dry_run=True) == []
    config.write_text(config.read_text().replace("repo1-retention-full=2", "repo1-retention-full=1"))
    assert await broken.pgbackrest().expire(dry_run=True) == labels
    assert await broken.pgbackrest().expire(dry_run=False) == labels
    assert [one.label for one in (await broken.pgbackrest().look()).sets] == [newest]


async def test_what_the_tool_says_of_an_unknown_stanza_is_a_blocking_problem(foreign: kit.Foreign) -> None:
    facts = await foreign.pgbackrest(stanza="nothing").look()
    assert facts.sets == ()
    assert facts.logs == ()
    [problem] = facts.problems
    assert problem.is_blocking
    assert "missing stanza path" in problem.message


async def test_a_lock_of_another_pgbackrest_is_a_conflict(broken: kit.Foreign) -> None:
    lock = broken.home / "lock" / f"{kit.STANZA}-backup.lock"
    held = broken.hold(lock)
    try:
        with pytest.raises(Conflict, match="ended with 50"):
            await broken.pgbackrest().backup(CopyKind.INCREMENTAL, _ignore)
    finally:
        held.close()


async def test_a_progress_that_raises_ends_the_backup(broken: kit.Foreign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbre.tools.pgbackrest.making._EVERY_SECONDS", 0.05)
    before = len((await broken.pgbackrest().look()).sets)

    async def stop(done: int, total: int | None) -> None:
        raise UsageError("enough")

    with pytest.raises(UsageError, match="enough"):
        await broken.pgbackrest().backup(CopyKind.FULL, stop)
    assert len((await broken.pgbackrest().look()).sets) == before
    assert f"--config={broken.pgbackrest_config}" not in broken.run("ps", "-eo", "args").stdout


async def _ignore(done: int, total: int | None) -> None:
    pass
