"""Every row of the fault matrix (backup.md 4.6) ends in a verdict that is no pass and names the fault."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from drills_world import Damaged, World, drilled

from dbre.capabilities.backup.model import Drill, DrillVerdict, LogState, StoredLog

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # a busy machine needs minutes for the server of all tests

_HEAP = "base/*/1247"  # pg_type of every database: large enough to lose a byte


def _first(directory: Path, pattern: str) -> Path:
    return min(directory.glob(pattern))


def flip(path: Path, offset: int | None = None) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if offset is None else offset] ^= 0x40
    path.write_bytes(content)


def _truncate(directory: Path) -> None:
    path = _first(directory, _HEAP)
    path.write_bytes(path.read_bytes()[:-4096])


def _remove_version(directory: Path) -> None:
    (directory / "PG_VERSION").unlink()


def _add_file(directory: Path) -> None:
    (directory / "base" / "planted").write_text("x")


def _manifest_of_another_system(directory: Path) -> None:
    path = directory / "backup_manifest"
    text = path.read_text()
    number = text.split('"System-Identifier": ')[1].split(",")[0].strip()
    path.write_text(text.replace(number, str(int(number) + 1)))


SET_FAULTS: list[tuple[str, Callable[[Path], None], str]] = [
    ("flipped-byte", lambda one: flip(_first(one, _HEAP)), "1247"),
    ("truncated-file", _truncate, "1247"),
    ("no-version-file", _remove_version, "PG_VERSION"),
    ("planted-file", _add_file, "planted"),
    ("foreign-manifest", _manifest_of_another_system, "manifest"),
]


@pytest.mark.parametrize(("damage", "named"), [one[1:] for one in SET_FAULTS], ids=[one[0] for one in SET_FAULTS])
async def test_a_copy_that_was_damaged_before_it_was_stored_fails_at_l1(
    world: World, place: Path, damage: Callable[[Path], None], named: str
) -> None:
    async with world.damaged(place, Damaged(of_set=damage)) as ground:
        _fails(await drilled(ground, target="latest", mode="fast"), "L1", named)


async def test_a_byte_that_flips_in_the_vault_fails_at_l1(world: World, place: Path) -> None:
    def rot(vault: Path) -> None:
        flip(
            max((one for one in vault.rglob("*") if one.is_file() and "/sets/" in str(one)), key=lambda one: one.stat().st_size)
        )

    async with world.damaged(place, Damaged(of_vault=rot)) as ground:
        _fails(await drilled(ground, target="latest", mode="fast"), "L1", world.set_id)


async def test_a_set_that_is_gone_from_the_vault_fails(world: World, place: Path) -> None:
    async with world.damaged(place, Damaged(drops_set=True)) as ground:
        _fails(await drilled(ground, target="latest", mode="fast"), "L1", world.set_id)


async def test_a_flipped_byte_of_the_log_fails_at_l2_and_names_the_file(world: World, place: Path) -> None:
    row = b"x" * 100  # of the ledger: within a record, and not between two
    victim = next(one for one in world.segments if row in world.plain_log(one).read_bytes())

    def damage(log: StoredLog, path: Path) -> bool:
        if log.file.name == victim.file.name:
            flip(path, path.read_bytes().index(row) + 50)
        return True

    async with world.damaged(place, Damaged(of_log=damage)) as ground:
        _fails(await drilled(ground, target="latest", mode="fast"), "L2", "")


async def test_a_log_file_that_the_catalog_never_had_is_a_hole(world: World, place: Path) -> None:
    victim = world.segments[1]
    damage = Damaged(of_log=lambda log, _: log.file.name != victim.file.name)
    async with world.damaged(place, damage) as ground:
        _fails(await drilled(ground, target="latest", mode="fast"), "L0", victim_position(victim))


async def test_a_log_file_that_only_the_catalog_has_fails_at_l2_and_is_named(world: World, place: Path) -> None:
    victim = world.segments[1]
    async with world.damaged(place, Damaged(drops_objects=(victim.file.name,))) as ground:
        _fails(await drilled(ground, target="latest", mode="fast"), "L2", victim.file.name)


async def test_a_target_before_the_end_of_the_copy_fails_and_says_what_can_be_recovered(world: World, place: Path) -> None:
    one = world.known.catalog.get(world.set_id)
    assert one is not None
    async with world.damaged(place) as ground:
        early = one.started_at - timedelta(seconds=1)
        _fails(await drilled(ground, target=early.isoformat(), mode="fast"), "L0", world.set_id)


async def test_a_log_that_ends_before_the_target_is_no_success(world: World, place: Path) -> None:
    """The last file is forgotten; the clock knows that the log went on."""
    last = world.segments[-1]
    damage = Damaged(of_log=lambda log, _: log.file.start < last.file.start)
    async with world.damaged(place, damage) as ground:
        found = await drilled(ground, target=(world.ended_at - timedelta(milliseconds=200)).isoformat(), mode="fast")
        assert found.verdict is not DrillVerdict.PASS
        assert "log" in found.reason


async def test_a_tampered_witness_or_chain_fails_at_l5(world: World, place: Path) -> None:
    def forge(known: list[Any]) -> list[Any]:
        return [*known[:-2], replace(known[-2], hash="0" * 64), known[-1]]

    async with world.damaged(place, Damaged(of_witnesses=forge)) as ground:
        _fails(await drilled(ground, target="latest", mode="fast"), "L5", "another one than was acknowledged")


async def test_rows_that_were_acknowledged_and_are_not_there_fail_at_l5(world: World, place: Path) -> None:
    """A restore that silently ended early: the witness knows a row within the log that did not come back."""

    def later(known: list[Any]) -> list[Any]:
        last, early = known[-1], known[0].position
        return [*known, replace(last, sequence=last.sequence + 1, at=last.at + timedelta(seconds=1), position=early)]

    async with world.damaged(place, Damaged(of_witnesses=later)) as ground:
        _fails(await drilled(ground, target="latest", mode="fast"), "L5", "is missing")


async def test_rows_that_are_lost_in_the_data_fail_the_question_about_them(world: World, place: Path) -> None:
    asked = {"name": "orders", "sql": "SELECT count(*) AS n FROM public.orders", "at_least": {"n": world.rows + 1}}
    async with world.damaged(place, drill={"queries": [asked]}) as ground:
        found = await drilled(ground, target="latest", mode="fast")
        _fails(found, "L5", f"n is {world.rows}, and must be at least {world.rows + 1}")


async def test_a_smoke_program_that_says_no_fails_at_l6(world: World, place: Path) -> None:
    async with world.damaged(place, drill={"smoke_command": [shutil.which("false") or "/bin/false"]}) as ground:
        _fails(await drilled(ground, target="latest", mode="fast"), "L6", "false")


async def test_a_key_that_is_lost_is_no_pass_and_says_so(world: World, place: Path) -> None:
    async with world.damaged(place) as ground:
        blind = replace(ground, vaults=tuple(one.model_copy(update={"identity": None}) for one in ground.vaults))
        found = await drilled(blind, target="latest", mode="fast")
        assert found.verdict is DrillVerdict.INCONCLUSIVE
        assert "identity" in found.reason


async def test_a_set_of_another_system_is_not_taken_for_this_one(world: World, place: Path) -> None:
    damage = Damaged(of_row=lambda one: replace(one, start=replace(one.start, value=one.start.value - 512)))
    async with world.damaged(place, damage) as ground:
        _fails(await drilled(ground, target="latest", mode="fast"), "L1", "start")


def victim_position(one: StoredLog) -> str:
    assert one.state is not LogState.LOST
    return f"{one.file.start >> 32:X}/{one.file.start & 0xFFFFFFFF:X}"


def _fails(found: Drill, level: str, named: str) -> None:
    shown = [(one.level, one.name, one.outcome.value, one.detail) for one in found.results]
    assert found.verdict is DrillVerdict.FAIL, shown
    assert found.reason.startswith(level), shown
    assert named in found.reason, shown
    assert found.level < level or found.level == "none", shown
