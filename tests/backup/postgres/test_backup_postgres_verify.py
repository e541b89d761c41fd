"""Level L1: every change of a file or of the manifest is found, and named."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import postgres_kit as kit
import pytest

from dbre.engines.postgres.backup.manifest import parse_manifest
from dbre.ports.backup.errors import CopyDamaged
from dbre.ports.backup.model import ChecksumState, CopyKind


def _a_table(directory: Path) -> Path:
    return max((directory / "base").rglob("[0-9]*"), key=lambda path: path.stat().st_size if path.is_file() else -1)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


FILES: list[tuple[str, Callable[[Path], object], str]] = [
    ("a flipped bit", lambda one: _flip(_a_table(one)), "checksum"),
    ("a cut file", lambda one: os.truncate(_a_table(one), 100), "size"),
    ("a longer file", lambda one: os.truncate(_a_table(one), 10 << 20), "size"),
    ("a missing file", lambda one: (one / "PG_VERSION").unlink(), "missing_file"),
    ("a missing label", lambda one: (one / "backup_label").unlink(), "missing_file"),
    ("a missing control file", lambda one: (one / "global" / "pg_control").unlink(), "missing_file"),
    ("a missing directory", lambda one: shutil.rmtree(one / "base" / "1"), "missing_file"),
    ("a file too many", lambda one: (one / "base" / "1" / "99999").write_bytes(b"x"), "extra_file"),
    ("a script in the log", lambda one: (one / "pg_wal" / "run.sh").write_bytes(b"x"), "extra_file"),
    ("a stale pid file", lambda one: (one / "postmaster.pid").write_bytes(b"1"), "extra_file"),
    ("a link", lambda one: (one / "pg_tblspc" / "16385").symlink_to("/etc"), "extra_file"),
    ("a link for a file", lambda one: (_a_table(one).unlink(), (one / "PG_VERSION").rename(one / "was"),
                                       (one / "PG_VERSION").symlink_to("was")), "missing_file"),
    ("a pipe", lambda one: os.mkfifo(one / "base" / "pipe"), "extra_file"),
    ("no manifest", lambda one: (one / "backup_manifest").unlink(), "manifest"),
    ("a changed manifest", lambda one: _flip(one / "backup_manifest"), "manifest"),
    ("a cut manifest", lambda one: os.truncate(one / "backup_manifest", 5000), "manifest"),
    ("an empty manifest", lambda one: os.truncate(one / "backup_manifest", 0), "manifest"),
    ("another system", lambda one: kit.rewrite(one, [('"System-Identifier": ', '"System-Identifier": 1')]), "wrong_system"),
    ("a forged size", lambda one: kit.rewrite(one, [('"PG_VERSION", "Size": 3', '"PG_VERSION", "Size": 4')]), "size"),
    ("another label", lambda one: kit.rewrite(one, [('"Start-LSN": "0/', '"Start-LSN": "0/1')]), "manifest"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "rule"), [one[1:] for one in FILES], ids=[one[0].replace(" ", "-") for one in FILES])
async def test_each_change_of_a_copy_is_named(
    newest: kit.Source, room: Path, change: Callable[[Path], object], rule: str
) -> None:
    damaged = kit.duplicate(newest.chain[0], room / "copy")
    assert (await newest.port.verify(damaged)).is_good
    change(damaged)
    found = await newest.port.verify(damaged)
    assert rule in {fault.rule for fault in found.faults}, found.faults


async def test_no_file_is_left_out_however_many_there_are_and_whatever_their_size(newest: kit.Source, room: Path) -> None:
    """Files are compared in batches, large ones apart."""
    copy = kit.duplicate(newest.chain[0], room / "copy")
    document = json.loads((copy / "backup_manifest").read_text())
    document.pop("Manifest-Checksum")
    for number, size in enumerate([3 << 20, 1 << 20, (1 << 20) - 1, *range(1, 60)]):
        path = copy / "base" / "1" / f"{90_000 + number}"
        path.write_bytes(os.urandom(size))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        entry = {"Path": f"base/1/{path.name}", "Size": size, "Checksum-Algorithm": "SHA256", "Checksum": digest}
        document["Files"].append({**document["Files"][0], **entry})
    kit.rewrite(copy, document=document)
    assert (await newest.port.verify(copy)).is_good
    names = {one["Path"] for one in document["Files"] if one["Size"] > 0 and one["Path"].startswith(("base/1/", "pg_xact/"))}
    for name in names:
        _flip(copy / name)
    found = await newest.port.verify(copy)
    assert {fault.subject for fault in found.faults if fault.rule == "checksum"} == names


async def test_untouched_copies_of_both_manifest_versions_are_good(newest: kit.Source, oldest: kit.Source) -> None:
    for source in (newest, oldest):
        for directory, facts in zip(source.chain, source.facts, strict=True):
            found = await source.port.verify(directory)
            assert found.is_good, found.faults
            assert (found.files, found.bytes) == (facts.files, facts.bytes)
            assert facts.checksums is ChecksumState.GOOD


async def test_a_copy_whose_own_manifest_was_replaced_does_not_pass_for_the_one_that_was_kept(
    newest: kit.Source, room: Path
) -> None:
    forged = kit.duplicate(newest.chain[0], room / "copy")
    kept = newest.chain[0] / "backup_manifest"
    assert (await newest.port.verify(forged, manifest=kept)).is_good
    table = _a_table(forged)
    table.write_bytes(b"")
    name = str(table.relative_to(forged))
    document = json.loads(kept.read_text())
    document.pop("Manifest-Checksum")
    document["Files"] = [one for one in document["Files"] if one.get("Path") != name]
    table.unlink()
    kit.rewrite(forged, document=document)
    assert (await newest.port.verify(forged)).is_good, "the forgery is well made: only the kept manifest tells"
    found = await newest.port.verify(forged, manifest=kept)
    assert {fault.rule for fault in found.faults} == {"manifest", "missing_file"}


async def test_a_name_that_is_no_text_is_verified_like_any_other(newest: kit.Source, room: Path) -> None:
    copy = kit.duplicate(newest.chain[0], room / "copy")
    name = b"base/\xff\xfe"
    document = json.loads((copy / "backup_manifest").read_text())
    document.pop("Manifest-Checksum")
    sample = next(one for one in document["Files"] if one["Path"] == "PG_VERSION")
    document["Files"].append({**{k: v for k, v in sample.items() if k != "Path"}, "Encoded-Path": name.hex()})
    kit.rewrite(copy, document=document)
    missing = await newest.port.verify(copy)
    assert [fault.rule for fault in missing.faults] == ["missing_file"]
    shutil.copyfile(copy / "PG_VERSION", os.fsencode(copy) + b"/" + name)
    assert (await newest.port.verify(copy)).is_good


FORGERIES = {
    "duplicate path": ('"Path": "PG_VERSION"', '"Path": "backup_label"'),
    "parent directory": ('"Path": "PG_VERSION"', '"Path": "../PG_VERSION"'),
    "inner parent directory": ('"Path": "PG_VERSION"', '"Path": "base/../PG_VERSION"'),
    "absolute path": ('"Path": "PG_VERSION"', '"Path": "/PG_VERSION"'),
    "dot": ('"Path": "PG_VERSION"', '"Path": "./PG_VERSION"'),
    "empty path": ('"Path": "PG_VERSION"', '"Path": ""'),
    "zero byte": ('"Path": "PG_VERSION"', '"Path": "PG\\u0000"'),
    "lone surrogate": ('"Path": "PG_VERSION"', '"Path": "\\ud800"'),
    "two paths": ('"Path": "PG_VERSION"', '"Encoded-Path": "50", "Path": "PG_VERSION"'),
    "odd encoding": ('"Path": "PG_VERSION"', '"Encoded-Path": "5"'),
    "twice the same key": ('"Path": "PG_VERSION"', '"Path": "x", "Path": "PG_VERSION"'),
    "negative size": ('"Size": 3', '"Size": -3'),
    "size as text": ('"Size": 3', '"Size": "3"'),
    "huge size": ('"Size": 3', '"Size": ' + "9" * 400),
    "fraction": ('"Size": 3', '"Size": 3.5'),
    "not a number": ('"Size": 3', '"Size": NaN'),
    "truth for a size": ('"Size": 3', '"Size": true'),
    "unknown algorithm": ('"Checksum-Algorithm": "SHA256"', '"Checksum-Algorithm": "MD5"'),
    "short checksum": ('"Checksum-Algorithm": "SHA256"', '"Checksum-Algorithm": "SHA512"'),
    "unknown version": ('Version": 2', 'Version": 3'),
    "version without its keys": ('Version": 2', 'Version": 1'),
    "unknown key": ('"Files": [', '"Other": 1, "Files": ['),
    "files are no list": ('"Files": [', '"Files": 1, "Other": ['),
    "range backwards": ('"End-LSN": "0/', '"End-LSN": "0/0", "X": "0/'),
    "no such timeline": ('"Timeline": 1', '"Timeline": 0'),
}


@pytest.mark.parametrize("name", sorted(FORGERIES))
def test_a_manifest_that_postgresql_would_refuse_is_refused(newest: kit.Source, room: Path, name: str) -> None:
    forged = room / "backup_manifest"
    shutil.copyfile(newest.chain[0] / "backup_manifest", forged)
    kit.rewrite(room, [FORGERIES[name]])
    with pytest.raises(CopyDamaged, match="not a manifest"):
        parse_manifest(forged.read_bytes(), where="here")


def test_a_manifest_that_is_nested_without_end_is_refused() -> None:
    body = b'{"Files": ' + b"[" * 200_000 + b",\n"
    data = body + f'"Manifest-Checksum": "{hashlib.sha256(body).hexdigest()}"}}\n'.encode()
    with pytest.raises(CopyDamaged, match=r"nested too deeply|no JSON"):
        parse_manifest(data, where="here")


async def test_what_a_copy_says_of_itself_is_what_was_copied(newest: kit.Source) -> None:
    for directory, told, kind in zip(newest.chain, newest.facts, (CopyKind.FULL, CopyKind.INCREMENTAL), strict=True):
        found = await newest.port.facts(directory)
        assert (found.kind, found.system_id, found.start, found.stop) == (kind, told.system_id, told.start, told.stop)
        assert abs((found.stopped_at - told.stopped_at).total_seconds()) < 0.001
        assert (found.bytes, found.files) == (told.bytes, told.files)


async def test_copies_of_two_servers_mixed_together_are_no_copy(newest: kit.Source, oldest: kit.Source, room: Path) -> None:
    mixed = kit.duplicate(newest.chain[0], room / "copy")
    shutil.copyfile(oldest.chain[0] / "global" / "pg_control", mixed / "global" / "pg_control")
    with pytest.raises(CopyDamaged, match="of system"):
        await newest.port.facts(mixed)
