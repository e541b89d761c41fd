"""Whatever is done to a stored object or to the index is noticed, named, and never comes out of the vault."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from pyrage import x25519
from vault_kit import KEY, SYSTEM, document, ground, identity_file, log_file, make_copy, record

from dbre.capabilities.backup.documents import VaultDocument
from dbre.capabilities.backup.model import BackupSet
from dbre.capabilities.backup.vault.errors import IndexBroken, NoIdentity, ObjectDamaged, ObjectMissing, WrongIdentity
from dbre.capabilities.backup.vault.opening import open_document
from dbre.core.audit.signed_note import SigningKey


@dataclass
class Stored:
    """A vault with two sets and a log file."""

    directory: Path
    place: VaultDocument
    sets: list[BackupSet]

    @property
    def root(self) -> Path:
        return self.directory / "vault" / "v1" / SYSTEM

    def parts(self, number: int) -> list[Path]:
        return sorted((self.root / "sets" / self.sets[number].id).glob("data-*"))

    def entries(self) -> list[Path]:
        return sorted((self.root / "index").iterdir())


@pytest.fixture
async def stored(tmp_path: Path) -> Stored:
    place, sets = document(tmp_path), []
    async with open_document(ground(tmp_path), place, part_bytes=150_000) as vault:
        for number in range(2):
            copy = make_copy(tmp_path / f"copy{number}", seed=number)
            sets.append(record(copy))
            await vault.put_set(sets[-1], copy)
        await vault.put_log("orders", SYSTEM, log_file(tmp_path / "segment"), tmp_path / "segment")
    return Stored(tmp_path, place, sets)


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def _swap(one: Path, other: Path) -> None:
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


OBJECT_DAMAGES: dict[str, tuple[Callable[[Stored], object], str, str]] = {
    "flip-head": (lambda s: _flip(s.parts(0)[0], 30), "damaged_object", "changed"),
    "flip-middle": (lambda s: _flip(s.parts(0)[1], 5_000), "damaged_object", "changed"),
    "flip-last": (lambda s: _flip(s.parts(0)[-1], -1), "damaged_object", "changed"),
    "cut-byte": (lambda s: s.parts(0)[1].write_bytes(s.parts(0)[1].read_bytes()[:-1]), "object_size", "cut off"),
    "cut-chunk": (lambda s: s.parts(0)[0].write_bytes(s.parts(0)[0].read_bytes()[: 200 + 65_552]), "object_size", "cut off"),
    "empty": (lambda s: s.parts(0)[0].write_bytes(b""), "object_size", "cut off"),
    "grown": (lambda s: s.parts(0)[0].write_bytes(s.parts(0)[0].read_bytes() + b"x"), "object_size", "grew"),
    "removed": (lambda s: s.parts(0)[1].unlink(), "missing_object", "not in the vault"),
    "parts-exchanged": (lambda s: _swap(*s.parts(0)[:2]), "", "exchanged|cut off|grew"),
    "sets-exchanged": (lambda s: _swap(s.parts(0)[0], s.parts(1)[0]), "", "exchanged|cut off|grew"),
}


@pytest.mark.parametrize("name", OBJECT_DAMAGES)
async def test_a_damaged_object_is_named_and_does_not_come_out(name: str, stored: Stored, tmp_path: Path) -> None:
    damage, rule, words = OBJECT_DAMAGES[name]
    damage(stored)
    async with open_document(ground(tmp_path), stored.place) as vault:
        faults = await vault.verify(deep=True)
        with pytest.raises((ObjectDamaged, ObjectMissing), match=words):
            await vault.fetch_set(stored.sets[0].id, tmp_path / "back")
    assert faults
    assert stored.sets[0].id in "".join(one.subject for one in faults)
    assert not rule or {one.rule for one in faults} == {rule}


async def test_a_sound_vault_has_no_faults(stored: Stored, tmp_path: Path) -> None:
    async with open_document(ground(tmp_path), stored.place) as vault:
        assert await vault.verify(deep=False) == []
        assert await vault.verify(deep=True) == []


async def test_an_object_with_the_right_hash_in_the_wrong_place_is_refused(stored: Stored, tmp_path: Path) -> None:
    """Somebody with the signing key, or a fault of ours, lets the index name another object: its own words give it away."""
    entry = stored.entries()[0]
    lines = entry.read_text().splitlines()
    data = json.loads(lines[-1])
    data["parts"][0], data["parts"][1] = data["parts"][1], data["parts"][0]
    for later in stored.entries():
        later.unlink()
    _append(stored, tmp_path, data)
    async with open_document(_ground_without_memory(tmp_path), stored.place) as vault:
        with pytest.raises(ObjectDamaged, match="another object than the one that belongs there"):
            await vault.fetch_set(stored.sets[0].id, tmp_path / "back")
        assert {one.rule for one in await vault.verify(deep=True)} == {"damaged_object"}


def _append(stored: Stored, tmp_path: Path, data: dict[str, object]) -> None:
    from dbre.capabilities.backup.vault.entries import write_entry
    from dbre.testing.clock import FakeClock

    vault_id = json.loads((tmp_path / "vault" / "v1" / "vault.json").read_text())["id"]
    raw = write_entry(KEY, vault=vault_id, system=SYSTEM, number=1, previous="", at=FakeClock().now(), kind="set", data=data)
    (stored.root / "index" / "0000000001.note").write_bytes(raw)


def _ground_without_memory(tmp_path: Path):
    shutil.rmtree(tmp_path / "backup")
    return ground(tmp_path)


def _rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


INDEX_DAMAGES: dict[str, tuple[Callable[[Stored], object], str]] = {
    "head-changed": (lambda s: _rewrite(s.entries()[0], '"number":1', '"number":2'), "not what a trusted key signed"),
    "data-changed": (
        lambda s: _rewrite(s.entries()[0], '"cluster":"orders"', '"cluster":"others"'),
        "not those that were signed",
    ),
    "not-text": (lambda s: s.entries()[1].write_bytes(b"\xff\x00"), "not what a trusted key signed"),
    "empty": (lambda s: s.entries()[1].write_bytes(b""), "not what a trusted key signed"),
    "replayed": (lambda s: shutil.copy(s.entries()[0], s.entries()[1]), "says it is entry 1"),
    "first-removed": (lambda s: s.entries()[0].unlink(), "rolled back|ends at entry 0"),
    "middle-removed": (lambda s: s.entries()[1].unlink(), "ends at entry 1"),
    "last-removed": (lambda s: s.entries()[2].unlink(), "ends at entry 2"),
    "all-removed": (lambda s: shutil.rmtree(s.root), "ends at entry 0"),
}


@pytest.mark.parametrize("name", INDEX_DAMAGES)
async def test_a_changed_index_is_not_believed(name: str, stored: Stored, tmp_path: Path) -> None:
    damage, words = INDEX_DAMAGES[name]
    damage(stored)
    async with open_document(ground(tmp_path), stored.place) as vault:
        with pytest.raises(IndexBroken, match=words):
            await vault.catalog()
        faults = await vault.verify(deep=False)
    assert "index" in {one.rule for one in faults}


@pytest.mark.parametrize("name", ["head-changed", "data-changed", "not-text", "replayed", "middle-removed", "first-removed"])
async def test_a_machine_that_never_saw_the_vault_notices_too(name: str, stored: Stored, tmp_path: Path) -> None:
    INDEX_DAMAGES[name][0](stored)
    async with open_document(_ground_without_memory(tmp_path), stored.place) as vault:
        assert "index" in {one.rule for one in await vault.verify(deep=False)}


async def test_a_fork_is_noticed_by_who_saw_the_other_branch(stored: Stored, tmp_path: Path) -> None:
    """The last entry is taken away and another one, rightly signed, put in its place by a second machine."""
    stored.entries()[2].unlink()
    other = tmp_path / "other-machine"
    other.mkdir()
    async with open_document(ground(other), stored.place) as vault:
        copy = make_copy(tmp_path / "third")
        await vault.put_set(record(copy), copy)
    async with open_document(ground(tmp_path), stored.place) as vault:
        with pytest.raises(IndexBroken, match="forked"):
            await vault.catalog()


async def test_entries_of_a_stranger_do_not_count_unless_named(stored: Stored, tmp_path: Path) -> None:
    stranger = SigningKey.generate("stranger/dbre-audit/1")
    async with open_document(ground(tmp_path, key=stranger), stored.place) as vault:
        with pytest.raises(IndexBroken, match=r"not signed by"):
            await vault.catalog()
    trusting = stored.place.model_copy(update={"signers": [str(KEY.verifier)]})
    async with open_document(ground(tmp_path, key=stranger), trusting) as vault:
        assert len((await vault.catalog()).sets) == 2


async def test_the_wrong_identity_is_told_from_damage(stored: Stored, tmp_path: Path) -> None:
    wrong = identity_file(tmp_path, x25519.Identity.generate(), "wrong")
    async with open_document(ground(tmp_path), stored.place.model_copy(update={"identity": wrong})) as vault:
        with pytest.raises(WrongIdentity):
            await vault.fetch_set(stored.sets[0].id, tmp_path / "back")
        assert {one.rule for one in await vault.verify(deep=True)} == {"wrong_identity"}


async def test_a_machine_without_identity_writes_and_verifies_and_cannot_read(stored: Stored, tmp_path: Path) -> None:
    async with open_document(ground(tmp_path), stored.place.model_copy(update={"identity": None})) as vault:
        assert await vault.verify(deep=True) == []
        with pytest.raises(NoIdentity):
            await vault.fetch_set(stored.sets[0].id, tmp_path / "back")
        copy = make_copy(tmp_path / "third")
        await vault.put_set(record(copy), copy)
        assert len((await vault.catalog()).sets) == 3
        _flip(stored.parts(1)[0], 999)
        assert {one.rule for one in await vault.verify(deep=True)} == {"damaged_object"}
