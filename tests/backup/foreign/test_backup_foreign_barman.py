"""The Barman adapter on catalogues that Barman made."""

import gzip
from pathlib import Path

import foreign_kit as kit
import pytest

from dbre.core.errors import Unsupported, UsageError
from dbre.core.programs.errors import ProgramFailed
from dbre.ports.backup.errors import CopyDamaged
from dbre.ports.backup.model import CopyKind, RecoveryTarget, TargetKind
from dbre.tools.barman.catalogue import Places
from dbre.tools.barman.wal_directory import wal_files

pytestmark = pytest.mark.timeout(300)  # a busy machine needs minutes for the repositories of all tests
LATEST = RecoveryTarget(kind=TargetKind.LATEST)


def wals(foreign: kit.Foreign) -> list[Path]:
    return sorted(foreign.barman_log.iterdir())


async def test_sets_and_log_are_read_from_a_real_catalogue(foreign: kit.Foreign) -> None:
    facts = await foreign.barman().look()
    assert [one.kind for one in facts.sets] == [CopyKind.FULL, CopyKind.FULL]
    [(system_id,)] = await foreign.sql("SELECT system_identifier::text FROM pg_control_system()")
    assert {one.system_id for one in facts.sets} == {system_id}
    assert {path.name for path in wals(foreign)} <= {log.file.name for log in facts.logs}
    assert facts.segment_bytes == 16 * 2**20
    assert facts.problems == ()


async def test_a_log_file_is_fetched_unpacked(foreign: kit.Foreign, tmp_path: Path) -> None:
    name = wals(foreign)[-1].name
    assert await foreign.barman().fetch(name, tmp_path / "segment") is True
    assert (tmp_path / "segment").read_bytes() == gzip.decompress(wals(foreign)[-1].read_bytes())
    assert [path.name for path in tmp_path.iterdir()] == ["segment"]


async def test_absence_is_told_only_where_no_directory_has_such_a_file(foreign: kit.Foreign, tmp_path: Path) -> None:
    assert await foreign.barman().fetch("0000000100000000000000FE", tmp_path / "a") is False
    with pytest.raises(ProgramFailed, match="Unknown server"):
        await foreign.barman("nothing").fetch(wals(foreign)[-1].name, tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


async def test_a_damaged_segment_is_no_absent_one(broken: kit.Foreign, tmp_path: Path) -> None:
    path = wals(broken)[-2]
    kit.flip(path, at=path.stat().st_size // 2)
    assert kit.complaints(broken) == []
    with pytest.raises((ProgramFailed, CopyDamaged)):
        await broken.barman().fetch(path.name, tmp_path / "segment")
    assert list(tmp_path.iterdir()) == []


async def test_a_truncated_segment_that_barman_hands_out_is_damage(broken: kit.Foreign, tmp_path: Path) -> None:
    path = wals(broken)[-2]
    path.write_bytes(gzip.decompress(path.read_bytes())[: 3 * 2**20])
    with pytest.raises((ProgramFailed, CopyDamaged)):
        await broken.barman().fetch(path.name, tmp_path / "segment")


@pytest.mark.slow
async def test_a_flipped_byte_in_a_set_is_a_fault_of_that_set(broken: kit.Foreign) -> None:
    good, label = [one.label for one in (await broken.barman().look()).sets]
    file = broken.home / "barman" / kit.STANZA / "base" / label / "data/base/1/1259"
    kit.flip(file, at=5_000)
    assert kit.complaints(broken) == []
    verified = await broken.barman().verify()
    assert {one.subject for one in verified.faults} == {label}
    assert (await broken.barman().verify(good)).is_good


async def test_a_set_is_restored_into_a_new_directory_with_its_tablespaces_in_it(foreign: kit.Foreign) -> None:
    newest = (await foreign.barman().look()).sets[-1]
    directory = foreign.site.make_directory(foreign.home.parent / "restored-barman")
    await foreign.barman().restore(newest.label, directory, target=LATEST)
    assert (directory / "PG_VERSION").read_text() == "15\n"
    [space] = (directory / "pg_tblspc").iterdir()
    assert space.is_dir()
    assert not space.is_symlink()
    assert any(one.is_file() for one in space.rglob("*"))


@pytest.mark.slow
async def test_expiry_tells_and_deletes_what_barmans_retention_calls_obsolete(broken: kit.Foreign) -> None:
    oldest, newest = [one.label for one in (await broken.barman().look()).sets]
    assert await broken.barman().expire(dry_run=True) == []
    config = broken.barman_config
    config.write_text(config.read_text().replace("REDUNDANCY 2", "REDUNDANCY 1"))
    assert await broken.barman().expire(dry_run=True) == [oldest]
    assert await broken.barman().expire(dry_run=False) == [oldest]
    assert [one.label for one in (await broken.barman().look()).sets] == [newest]


async def test_words_that_look_like_options_never_reach_the_command_line(foreign: kit.Foreign) -> None:
    with pytest.raises(UsageError, match="is no name of a server"):
        foreign.barman("--config=/etc/passwd")
    with pytest.raises(UsageError, match="is no backup of Barman"):
        await foreign.barman().restore("--remote-ssh-command=true", foreign.home / "x", target=LATEST)


async def test_only_full_copies_are_made(foreign: kit.Foreign) -> None:
    with pytest.raises(Unsupported, match="incremental"):
        await foreign.barman().backup(CopyKind.INCREMENTAL, _ignore)


def test_a_log_that_is_not_on_this_machine_is_told(tmp_path: Path) -> None:
    where = Places(*(tmp_path / name for name in ("home", "wals", "incoming", "streaming")))
    with pytest.raises(Unsupported, match="is not on this machine"):
        wal_files(where)


async def _ignore(done: int, total: int | None) -> None:
    pass
