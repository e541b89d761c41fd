"""Copies that people made with ``pg_basebackup`` as it comes: verified, looked at and drilled by dbre."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import postgres_kit as kit
import pytest

from dbre.lab.site import Site

BYTES = Path("global/pg_control")


def copy(source: kit.Source, directory: Path, *options: str | Path) -> Path:
    """With the words that somebody types: nothing of dbre is in it."""
    server = source.server
    secret = directory.parent / "pass"
    source.site.write_file(secret, f"*:*:*:*:{server.password.reveal()}\n")
    host, port = server.address.host, str(server.address.port)
    done = subprocess.run(
        [server.binaries.program("pg_basebackup"), "-D", directory, "-h", host, "-p", port, "-U", server.superuser,
         "-c", "fast", "--no-sync", *options],
        env={"PATH": os.environ["PATH"], "PGPASSFILE": str(secret), "PGCONNECT_TIMEOUT": "60"},
        cwd=directory.parent,
        capture_output=True,
        text=True,
        check=False,
        **source.site.account.credentials(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return directory


async def inspect(directory: Path, *words: str | Path, cwd: Path) -> tuple[int, dict]:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dbre", "backup", "inspect", "pg_basebackup"),
        *("--stanza", str(directory), *map(str, words), "-o", "json"),
        cwd=cwd,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await child.communicate()
    assert out, err.decode()
    return child.returncode or 0, json.loads(out)["item"]


def pg_verifybackup(source: kit.Source, directory: Path) -> int:
    program = source.server.binaries.program("pg_verifybackup")
    return subprocess.run([program, "--no-parse-wal", "--quiet", directory], check=False).returncode


async def archive(source: kit.Source, into: Path) -> None:
    """What ``archive_command = 'cp %p DIRECTORY/%f'`` leaves."""
    async with await source.server.connect() as connection:
        [full] = (await (await connection.execute("SELECT pg_walfile_name(pg_switch_wal())")).fetchone()) or []
    for path in (source.server.data_directory / "pg_wal").glob("[0-9A-F]*"):
        if path.name <= full and len(path.name) == 24:
            shutil.copyfile(path, into / path.name)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("algorithm", ["CRC32C", "SHA224", "SHA512"])
async def test_each_algorithm_finds_a_flipped_bit_in_every_file(oldest: kit.Source, room: Path, algorithm: str) -> None:
    options = [] if algorithm == "CRC32C" else [f"--manifest-checksums={algorithm}"]
    made = await asyncio.to_thread(copy, oldest, room / "copy", *options)
    good = await oldest.port.verify(made)
    assert good.is_good, good.faults
    assert [one.partition(" compared by ")[2][:6] for one in good.remarks] == (["CRC-32"] if algorithm == "CRC32C" else [])
    assert await asyncio.to_thread(pg_verifybackup, oldest, made) == 0
    names = [one["Path"] for one in json.loads((made / "backup_manifest").read_text())["Files"] if one["Size"] > 0]
    for name in names:
        flip(made / name)
    found = await oldest.port.verify(made)
    assert {one.subject for one in found.faults if one.rule == "checksum"} == set(names)


async def test_without_checksums_sizes_are_compared_and_that_is_told(oldest: kit.Source, room: Path) -> None:
    made = await asyncio.to_thread(copy, oldest, room / "copy", "--manifest-checksums=NONE")
    flip(made / "PG_VERSION")
    found = await oldest.port.verify(made)
    assert found.is_good
    [remark] = found.remarks
    assert remark.startswith(f"{found.files} files compared by size alone")
    os.truncate(made / BYTES, 100)
    assert [one.rule for one in (await oldest.port.verify(made)).faults if one.subject == str(BYTES)] == ["size"]


async def test_a_chain_of_others_is_looked_at_verified_and_drilled(newest: kit.Source, room: Path, lab_site: Site) -> None:
    """Two copies beside each other and the log behind them, as a script of somebody keeps them."""
    home = lab_site.make_directory(room / "copies")
    full = await asyncio.to_thread(copy, newest, home / "monday")
    ledger = list(newest.ledger)  # its own from here on: the log that the other tests share ends before these rows
    newest = replace(newest, ledger=ledger)
    await kit.append(newest, 3)
    wal = lab_site.make_directory(home / "wal")
    await archive(newest, wal)
    manifest = full / "backup_manifest"
    await asyncio.to_thread(copy, newest, home / "tuesday", f"--incremental={manifest}")
    await kit.append(newest, 3)
    await archive(newest, wal)
    status, found = await inspect(home, "--verify", "--drill", "--directory", room / "drill", cwd=room)
    assert (status, found["problems"], found["verified"]["faults"]) == (0, [], []), found
    assert [(one["label"], one["kind"], one["parent"]) for one in found["sets"]] == [
        ("monday", "full", None),
        ("tuesday", "incremental", "monday"),
    ]
    assert len(found["verified"]["remarks"]) == 2
    assert (found["drill"]["verdict"], found["drill"]["is_jailed"]) == ("pass", True), found["drill"]
    assert datetime.fromisoformat(found["drill"]["last_commit_at"]) >= newest.ledger[-2].committed_at
    flip(max((full / "base/1").iterdir(), key=lambda one: one.stat().st_size))
    status, found = await inspect(home, "--drill", "--directory", room / "drill", cwd=room)
    assert (status, found["drill"]["verdict"]) == (3, "fail")
    assert "monday is damaged: base/1/" in found["drill"]["reason"]
    shutil.rmtree(full)
    status, found = await inspect(home, cwd=room)
    assert status == 3
    [only] = found["sets"]
    assert "which is not there" in only["problem"]


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a label of nonsense": (lambda one: (one / "backup_label").write_bytes(b"\x1b[2J\xff" * 50), "not a label"),
    "a label that is a link": (lambda one: ((one / "backup_label").unlink(), (one / "backup_label").symlink_to("/etc/passwd")),
                               "no label"),
    "a manifest that is a pipe": (lambda one: ((one / "backup_manifest").unlink(), os.mkfifo(one / "backup_manifest")),
                                  "cannot be read"),
    "a cut control file": (lambda one: os.truncate(one / BYTES, 5), "no control file"),
    "packed": (lambda one: (one / "base.tar.gz").write_bytes(b"x"), "it is packed"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(HOSTILE))
async def test_what_is_no_copy_is_named_and_nothing_is_believed(newest: kit.Source, room: Path, name: str) -> None:
    from dbre.tools.pg_basebackup import BaseBackupDirectory

    change, said = HOSTILE[name]
    change(kit.duplicate(newest.chain[0], room / "copy"))
    repository = BaseBackupDirectory(port=newest.port, config=None, directory=room)
    facts = await repository.look()
    assert facts.sets == ()
    [first, *_] = facts.problems
    assert (first.rule, first.is_blocking) == ("backup.no_copy", True)
    assert said in first.message
    assert "\x1b" not in first.message
    assert not (await repository.verify()).is_good
