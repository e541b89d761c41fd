"""``dbre audit`` from the command line to its exit code."""

import asyncio
import json
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from audit_kit import draft

from dbre.app import Application
from dbre.cli import root
from dbre.core.audit.log import AuditLog
from dbre.core.clock import SystemClock
from dbre.core.store import open_store

Run = Callable[..., tuple[int, str, str]]
HOSTILE = "O'Brien\x1b[2J\n\u202e"


@pytest.fixture
def run(tmp_path: Path, migrated_file: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run one command line on a store with 12 entries."""
    (tmp_path / "dbre.yaml").write_text('state: {url: "sqlite:///dbre.db"}\n')
    shutil.copy(migrated_file, tmp_path / "dbre.db")
    add(tmp_path, 12)

    def run(*words: str) -> tuple[int, str, str]:
        code = root.main(Application, ["--config", str(tmp_path / "dbre.yaml"), "audit", *words])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def add(directory: Path, count: int) -> None:
    async def append() -> None:
        async with open_store(f"sqlite:///{directory}/dbre.db", clock=SystemClock()) as store:
            drafts = [draft(number, actor=HOSTILE if number == 3 else "anna") for number in range(count)]
            await AuditLog(SystemClock()).append(store, *drafts)

    asyncio.run(append())


def change(directory: Path, statement: str) -> None:
    with closing(sqlite3.connect(directory / "dbre.db")) as connection, connection:
        connection.execute(statement)


def test_entries_are_listed_a_page_at_a_time_and_hostile_names_do_no_harm(run: Run) -> None:
    code, out, err = run("list", "--limit", "9")
    assert code == 0
    assert out.splitlines()[1].split()[0] == "11"
    assert "\x1b" not in out
    assert "older entries: --before 3" in err
    code, out, _ = run("list", "--before", "3", "-o", "json")
    assert [one["index"] for one in json.loads(out)["items"]] == [2, 1, 0]
    _, out, _ = run("list", "--subject", "cluster/c1*", "--action", "test.*", "--actor", "anna", "--since", "1h", "-o", "json")
    assert [one["index"] for one in json.loads(out)["items"]] == [11, 10, 1]
    assert run("list", "--until", "1h")[1].strip() == "no entry matches"
    assert run("list", "--since", "yesterday")[0] == 2


def test_the_key_is_made_once_beside_the_store(run: Run, tmp_path: Path) -> None:
    first, second = run("key")[1], run("key")[1]
    assert first == second
    assert stat.S_IMODE((tmp_path / "dbre.audit-key").stat().st_mode) == 0o600
    (tmp_path / "dbre.audit-key").chmod(0o640)
    code, _, err = run("key")
    assert code == 2
    assert "others can read it" in err


def test_the_key_can_be_kept_elsewhere(run: Run, tmp_path: Path) -> None:
    key = run("key")[1]
    shutil.move(tmp_path / "dbre.audit-key", tmp_path / "vault")
    (tmp_path / "dbre.yaml").write_text('state: {url: "sqlite:///dbre.db"}\naudit: {key: "file:vault"}\n')
    assert run("key")[1] == key
    (tmp_path / "dbre.yaml").write_text('state: {url: "sqlite:///dbre.db"}\naudit: {key: "file:vault", origin: "other"}\n')
    code, _, err = run("key")
    assert (code, "audit.origin is other" in err) == (2, True)


def test_a_sound_log_is_0_and_a_changed_one_3_with_the_place(run: Run, tmp_path: Path) -> None:
    run("checkpoint")
    code, out, _ = run("verify")
    assert (code, out.strip()) == (0, "the log is whole: 12 entries read, 1 checkpoint compared; 0 entries not signed yet")
    change(tmp_path, "UPDATE audit_entry SET entry = replace(entry, 'anna', 'evan') WHERE entry_index = 5")
    code, out, _ = run("verify", "-o", "json")
    assert code == 3
    assert [(one["rule"], one["subject"]) for one in json.loads(out)["items"]] == [
        ("audit.copy_changed", "audit/entry/5"),
        ("audit.entry_changed", "audit/entry/5"),
    ]
    assert run("verify", "--since-checkpoint", "latest")[0] == 0
    code, _, err = run("verify", "--since-checkpoint", "13")
    assert (code, "the nearest below is 12" in err) == (2, True)


def test_a_proof_is_checked_offline_with_nothing_but_the_key(run: Run, tmp_path: Path) -> None:
    key, path = run("key")[1].strip(), tmp_path / "proof.json"
    assert run("prove", "3", "--out", str(path))[0] == 0
    assert run("prove", "12")[0] == 2
    (tmp_path / "dbre.db").unlink()
    code, out, _ = run("verify", "--proof", str(path), "--entry", "3", "--key", key, "-o", "json")
    assert code == 0
    assert json.loads(out)["item"]["entry"]["actor"] == HOSTILE
    assert run("verify", "--proof", str(path), "--entry", "4", "--key", key)[0] == 2
    path.write_text(path.read_text().replace('\\"number\\":3', '\\"number\\":4'))
    code, _, err = run("verify", "--proof", str(path), "--key", key)
    assert (code, "leaf hash" in err) == (3, True)
    assert run("verify", "--entry", "3")[0] == 2


def test_a_witness_refuses_a_restored_store_with_5_and_verify_tells_of_it_with_3(run: Run, tmp_path: Path) -> None:
    key, state = run("key")[1].strip(), str(tmp_path / "witness")
    look = ("witness", "--state-dir", state, "--key", key, "--origin", key.split("+")[0])
    run("checkpoint")
    assert run(*look)[0] == 0
    shutil.copy(tmp_path / "dbre.db", tmp_path / "old.db")
    add(tmp_path, 5)
    run("checkpoint", "--since", "12", "--out", str(tmp_path / "growth.json"))
    assert run(*look, "--from", str(tmp_path / "growth.json"))[0] == 0
    for companion in tmp_path.glob("dbre.db-*"):
        companion.unlink()
    shutil.copy(tmp_path / "old.db", tmp_path / "dbre.db")
    code, _, err = run(*look)
    assert (code, "has shrunk from 17 to 12 entries" in err) == (5, True)
    assert run("verify")[0] == 0
    code, out, _ = run("verify", "--witness", state, "-o", "json")
    assert (code, json.loads(out)["items"][0]["rule"]) == (3, "audit.log_truncated")
    (tmp_path / "dbre.yaml").write_text('state: {url: "sqlite:///dbre.db"}\naudit: {witness: witness}\n')
    assert run("verify")[0] == 3  # the configured witness is asked without a flag
    assert run("witness", "--state-dir", state, "--key", key, "--origin", "other")[0] == 2


def test_a_machine_without_the_key_is_told_where_it_is(run: Run, tmp_path: Path) -> None:
    assert "audit.unsigned" in run("verify")[1]  # nothing is signed yet, so nothing can be checked
    run("checkpoint")
    (tmp_path / "dbre.audit-key").unlink()
    code, _, err = run("verify")
    assert (code, "no key of the audit log" in err) == (2, True)


@pytest.mark.parametrize("form", ["jsonl", "tiles"])
def test_the_log_is_exported(run: Run, tmp_path: Path, form: str) -> None:
    run("key")
    code, out, _ = run("export", "--format", form, "--out", str(tmp_path / "out"), "-o", "json")
    assert (code, json.loads(out)["item"]["size"]) == (0, 12)
    assert (tmp_path / "out" / "checkpoint").exists()
    assert run("export", "--format", "xml", "--out", str(tmp_path / "out2"))[0] == 2
