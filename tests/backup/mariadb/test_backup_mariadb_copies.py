"""Copies of MariaDB: what they say of themselves, every damage of them, chains, problems before them."""

import asyncio
import json
import os
import signal
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mariadb_kit import Copies, History, own, place_of, quiet, run_sql

from dbre.core.errors import Conflict, Unsupported
from dbre.core.programs.errors import BinariesMissing
from dbre.core.secrets import Secret
from dbre.engines.mysql.backup.port import MariaDbBackups
from dbre.ports.backup.errors import CopyDamaged, CopyFailed
from dbre.ports.backup.model import ChecksumState, CopyKind, CopyOrder, LogPosition, ParentCopy
from dbre.ports.file_manifest import MANIFEST_NAME


def flip(path: Path, offset: int = 100) -> None:
    content = bytearray(path.read_bytes())
    content[offset % len(content)] ^= 1
    path.write_bytes(content)


def rewrite(path: Path, change: Callable[[dict[str, object]], None]) -> None:
    """Change a manifest as somebody would who knows nothing of its checksum."""
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


MUTATIONS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "byte-flipped": (lambda at: flip(at / "ibdata1", 20_000), "checksum", "ibdata1"),
    "file-truncated": (lambda at: os.truncate(at / "ibdata1", 4096), "size", "ibdata1"),
    "file-missing": (lambda at: (at / "lab" / "ledger.frm").unlink(), "missing_file", "lab/ledger.frm"),
    "file-added": (lambda at: (at / "lab" / "more.ibd").write_bytes(b"x"), "extra_file", "lab/more.ibd"),
    "link-added": (lambda at: (at / "lab" / "shadow").symlink_to("/etc/shadow"), "extra_file", "lab/shadow"),
    "file-became-link": (
        lambda at: ((at / "lab" / "db.opt").unlink(), (at / "lab" / "db.opt").symlink_to("/etc/hostname")),
        "missing_file",
        "lab/db.opt",
    ),
    "manifest-flipped": (lambda at: flip(at / MANIFEST_NAME, 500), "manifest", MANIFEST_NAME),
    "manifest-missing": (lambda at: (at / MANIFEST_NAME).unlink(), "manifest", MANIFEST_NAME),
    "manifest-edited": (lambda at: rewrite(at / MANIFEST_NAME, lambda one: one.update(files=[])), "manifest", MANIFEST_NAME),
    "manifest-empty": (lambda at: (at / MANIFEST_NAME).write_bytes(b""), "manifest", MANIFEST_NAME),
    "manifest-deeply-nested": (lambda at: (at / MANIFEST_NAME).write_bytes(b"[" * 100_000), "manifest", MANIFEST_NAME),
}


async def test_facts_name_server_place_and_tool(history: History) -> None:
    full, part = history.copies.made["full"], history.copies.made["incremental"]
    assert (full.kind, part.kind) == (CopyKind.FULL, CopyKind.INCREMENTAL)
    assert full.system_id == part.system_id
    assert full.start is not None
    assert part.start is not None
    assert full.start < part.start
    assert full.start.timeline == history.server_id
    assert full.checksums is ChecksumState.GOOD
    assert full.started_at <= full.stopped_at <= part.started_at
    assert part.details["from_lsn"] == full.details["to_lsn"]
    assert await history.copies.backups.facts(history.copies.directory / "full") == full


@pytest.mark.parametrize("name", sorted(MUTATIONS))
async def test_verification_names_every_damage(history: History, tmp_path: Path, name: str) -> None:
    change, rule, subject = MUTATIONS[name]
    place = tmp_path / "copy"
    await asyncio.to_thread(_duplicate, history.copies.directory / "full", place)
    assert (await history.copies.backups.verify(place)).is_good
    change(place)
    faults = (await history.copies.backups.verify(place)).faults
    assert (rule, subject) in {(fault.rule, fault.subject) for fault in faults}


def _duplicate(source: Path, target: Path) -> None:
    import shutil

    shutil.copytree(source, target)


async def test_a_manifest_that_was_kept_separately_is_believed(history: History, tmp_path: Path) -> None:
    """Whoever changes a file and its manifest together is found out by the copy of the manifest."""
    kept = tmp_path / "kept.json"
    kept.write_bytes((history.copies.directory / "full" / MANIFEST_NAME).read_bytes())
    assert (await history.copies.backups.verify(history.copies.directory / "full", manifest=kept)).is_good
    other = history.copies.directory / "incremental" / MANIFEST_NAME
    faults = (await history.copies.backups.verify(history.copies.directory / "full", manifest=other)).faults
    assert "manifest" in {fault.rule for fault in faults}


@pytest.mark.parametrize("chain", [("incremental",), ("incremental", "full"), ("full", "full")], ids="-".join)
async def test_what_is_no_chain_is_not_assembled(history: History, chain: tuple[str, ...]) -> None:
    with pytest.raises(Conflict, match=r"incremental, and a chain|does not stand on"):
        await history.copies.assemble(*chain, into=f"no-chain-{'-'.join(chain)}")


async def test_an_incremental_on_another_servers_parent_is_refused(history: History, tmp_path: Path) -> None:
    document = json.loads((history.copies.directory / "full" / MANIFEST_NAME).read_text())
    document["facts"]["server_id"] += 1
    _sign(document)
    foreign = tmp_path / "foreign.json"
    foreign.write_text(json.dumps(document))
    order = CopyOrder(
        set_id="x",
        kind=CopyKind.INCREMENTAL,
        directory=own(history.copies.directory / "on-foreign", history.copies.site),
        parent=ParentCopy(set_id="foreign", manifest=foreign),
    )
    with pytest.raises(Conflict, match=r"and this is server"):
        await history.copies.backups.copy(history.copies.server.access(), order, quiet)


def _sign(document: dict[str, object]) -> None:
    import hashlib

    document.pop("sha256")
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    document["sha256"] = hashlib.sha256(text.encode()).hexdigest()


async def test_a_survey_of_a_good_server_finds_nothing_in_the_way(history: History) -> None:
    survey = await history.copies.backups.survey(history.copies.server.access())
    assert [problem for problem in survey.problems if problem.is_blocking] == []
    assert survey.system_id == history.copies.made["full"].system_id
    assert survey.timeline == history.server_id
    assert survey.can_increment
    assert (survey.data_bytes or 0) > 1_000_000


async def test_a_login_without_privileges_is_told_each_of_them(history: History) -> None:
    await run_sql(history.copies.server.access(), "CREATE OR REPLACE USER poor@'127.0.0.1' IDENTIFIED BY 'p00r'")
    access = replace(history.copies.server.access(user="poor", password=Secret("p00r")), database=None)
    survey = await history.copies.backups.survey(access)
    missing = [problem.message for problem in survey.problems if problem.rule == "backup.privilege_missing"]
    assert [
        word for word in ("RELOAD", "PROCESS", "LOCK TABLES", "BINLOG MONITOR", "REPLICATION SLAVE") if word in str(missing)
    ]
    assert len(missing) == 5
    order = CopyOrder(set_id="x", kind=CopyKind.FULL, directory=own(history.copies.directory / "poor", history.copies.site))
    with pytest.raises(CopyFailed, match="missing required privilege RELOAD") as caught:
        await history.copies.backups.copy(access, order, quiet)
    assert "*EF2E97" not in "".join(traceback.format_exception(caught.value))  # the hash of the password, which it quotes


async def test_a_password_with_every_awkward_character_logs_in_and_is_nowhere_to_be_seen(history: History) -> None:
    password = "a \"b\\c#d;e'f$g`h=i"
    quoted = password.replace("\\", "\\\\").replace("'", "''")
    await run_sql(
        history.copies.server.access(),
        f"CREATE OR REPLACE USER awkward@'127.0.0.1' IDENTIFIED BY '{quoted}'",
        "GRANT RELOAD, PROCESS, LOCK TABLES, BINLOG MONITOR ON *.* TO awkward@'127.0.0.1'",
    )
    access = replace(history.copies.server.access(user="awkward", password=Secret(password)), database=None)
    directory = own(history.copies.directory / "awkward", history.copies.site)
    facts = await history.copies.backups.copy(access, CopyOrder(set_id="x", kind=CopyKind.FULL, directory=directory), quiet)
    assert facts.files > 100
    needle = password.encode()
    assert not [path for path in directory.rglob("*") if path.is_file() and needle in path.read_bytes()]


async def test_programs_of_another_series_and_missing_ones_are_told(history: History, tmp_path: Path) -> None:
    tools = {tool.name: tool for tool in await history.copies.backups.tools(version="10.6.18-MariaDB")}
    assert "series 10.11" in str(tools["mariadb-backup"].problem)
    assert "series 10.11" in str(tools["mariadbd"].problem)
    tmp_path.chmod(0o755)
    (tmp_path / "mariadb-backup").write_text("#!/bin/sh\nkill -SEGV $$\n")
    (tmp_path / "mariadb-backup").chmod(0o755)
    lame = MariaDbBackups(replace(place_of(history.copies.site), bindir=tmp_path))
    lame_tools = {tool.name: tool for tool in await lame.tools()}
    assert "does not run" in str(lame_tools["mariadb-backup"].problem)
    assert "not installed" in str(lame_tools["mariadbd"].problem)
    order = CopyOrder(set_id="x", kind=CopyKind.FULL, directory=own(history.copies.directory / "lame", history.copies.site))
    with pytest.raises(BinariesMissing, match="does not run"):
        await lame.copy(history.copies.server.access(), order, quiet)


async def test_a_killed_mariadb_backup_leaves_no_set(history: History) -> None:
    for number in range(10):  # a copy that was done before it could be killed proves nothing: then another one
        directory = own(history.copies.directory / f"killed-{number}", history.copies.site)
        order = CopyOrder(set_id="x", kind=CopyKind.FULL, directory=directory)
        copying = asyncio.create_task(history.copies.backups.copy(history.copies.server.access(), order, quiet))
        if await _kill_when_seen(f"--target-dir={directory}", copying):
            break
    else:
        pytest.fail("ten copies were done before they could be killed")
    with pytest.raises(CopyFailed, match="signal 9"):
        await copying
    with pytest.raises(CopyDamaged):
        await history.copies.backups.facts(directory)
    assert not (await history.copies.backups.verify(directory)).is_good


async def _kill_when_seen(word: str, task: "asyncio.Task[object]") -> bool:
    """Kill the process that was started with a word; False where the task ends first."""
    while not task.done():
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if word.encode() in words and words[0].endswith(b"mariadb-backup"):
                os.kill(int(entry.name), signal.SIGKILL)
                return True
        await asyncio.sleep(0.001)
    return False


async def test_a_cancelled_copy_leaves_no_process_behind(history: History) -> None:
    directory = own(history.copies.directory / "cancelled", history.copies.site)
    order = CopyOrder(set_id="x", kind=CopyKind.FULL, directory=directory)
    copying = asyncio.create_task(history.copies.backups.copy(history.copies.server.access(), order, quiet))
    async with asyncio.timeout(60):
        while not any(directory.iterdir()):  # noqa: ASYNC110 - another process does it
            await asyncio.sleep(0.005)
    copying.cancel()
    await asyncio.gather(copying, return_exceptions=True)
    left = [one for one in Path("/proc").glob("[0-9]*/cmdline") if str(directory).encode() in _words(one)]
    assert left == []


def _words(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


async def test_whoever_watches_can_end_a_copy(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbre.engines.mysql.backup.copying._PROGRESS_SECONDS", 0.01)
    directory = own(history.copies.directory / "stopped", history.copies.site)

    async def enough(_done: int, _total: int | None) -> None:
        raise Conflict("enough")

    with pytest.raises(Conflict, match="enough"):
        await history.copies.backups.copy(
            history.copies.server.access(), CopyOrder(set_id="x", kind=CopyKind.FULL, directory=directory), enough
        )


async def test_kinds_that_there_are_not_are_refused(history: History) -> None:
    order = CopyOrder(set_id="x", kind=CopyKind.SNAPSHOT, directory=own(history.copies.directory / "odd", history.copies.site))
    with pytest.raises(Unsupported, match="snapshot"):
        await history.copies.backups.copy(history.copies.server.access(), order, quiet)


@pytest.mark.parametrize("text", ["", "binlog.000004", "binlog:4", "binlog.000004:x", "../binlog.000004:4"])
def test_positions_that_are_none_are_refused(history: History, text: str) -> None:
    with pytest.raises(Exception, match=r"no (place|name)"):
        history.copies.backups.parse_position(text, timeline=1)


def test_log_files_follow_each_other_without_a_hole(history: History) -> None:
    backups: MariaDbBackups = Copies(history.copies.server, history.copies.site, history.copies.directory).backups
    first = backups.log_file("7-binlog.000009", size=100, sha256="", segment_bytes=None)
    second = backups.log_file("7-binlog.000010.partial", size=100, sha256="", segment_bytes=None)
    assert first is not None
    assert second is not None
    assert (first.end, second.end - second.start) == (second.start, 100)
    assert backups.log_file("binlog.000009", size=100, sha256="", segment_bytes=None) is None
    assert backups.parse_position("binlog.000009:40", timeline=7) == LogPosition(7, first.start + 40, "")
