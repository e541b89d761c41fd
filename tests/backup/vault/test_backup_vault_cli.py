"""``dbre vault``, as people type it, with a real state store and real vaults; and without the state store."""

import asyncio
import json
import stat
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyrage import x25519
from vault_kit import ESCROW, OPERATIONS, SYSTEM, document, ground, identity_file, log_file, make_copy, record, tree

from dbre.app import Application
from dbre.capabilities.backup.catalog.logs import insert_log, list_logs
from dbre.capabilities.backup.catalog.sets import insert_set
from dbre.capabilities.backup.model import BackupSet
from dbre.capabilities.backup.vault.opening import open_document
from dbre.cli import root
from dbre.core.audit.keys import load_or_create_key_file
from dbre.core.clock import SystemClock
from dbre.core.store import open_store
from dbre.ports.backup.model import CopyKind


@dataclass
class Shop:
    """A directory with a configuration, a state store, two vaults, and a chain of two sets in the first."""

    directory: Path
    capsys: pytest.CaptureFixture[str]
    sets: list[BackupSet]

    def run(self, *words: str) -> tuple[int, str, str]:
        self.capsys.readouterr()
        code = root.main(Application, ["--config", str(self.directory / "dbre.yaml"), *words])
        shown = self.capsys.readouterr()
        return code, shown.out, shown.err

    async def know(self) -> None:
        """Let the state store know what lies in the cellar, as it does where dbre took it."""
        async with open_store(f"sqlite:///{self.directory}/dbre.db", clock=SystemClock()) as store:
            key = load_or_create_key_file(self.directory / "dbre.audit-key")
            async with open_document(ground(self.directory, key=key), document(self.directory)) as vault:
                catalog = await vault.catalog()
            async with store.begin() as connection:
                for one in catalog.sets:
                    await insert_set(connection, one)
                for log in catalog.logs:
                    await insert_log(connection, log)

    async def mark(self, place: str, set_id: str) -> None:
        """As an expiry does that deletes it later."""
        key = load_or_create_key_file(self.directory / "dbre.audit-key")
        far = document(self.directory, name=place, path=str(self.directory / place))
        async with open_document(ground(self.directory, key=key), far) as vault:
            await vault.tombstone([set_id], [], "by mistake")

    async def vaults_of_log(self) -> tuple[str, ...]:
        async with open_store(f"sqlite:///{self.directory}/dbre.db", clock=SystemClock()) as store, store.read() as connection:
            (log,) = await list_logs(connection, "orders")
            return log.vaults

    def items(self, *words: str, code: int = 0) -> list[dict[str, object]]:
        ended, out, err = self.run(*words, "-o", "json")
        assert ended == code, err
        return list(json.loads(out)["items"])


def _configure(directory: Path) -> None:
    recipients = [str(OPERATIONS.to_public()), str(ESCROW.to_public())]
    vaults = [
        {
            "name": name,
            "kind": "filesystem",
            "path": str(directory / place),
            "recipients": recipients,
            "identity": f"file:{directory}/identity.age",
            "is_offsite": name == "far",
        }
        for name, place in (("cellar", "vault"), ("far", "far"))
    ]
    (directory / "dbre.yaml").write_text(json.dumps({"vaults": vaults}))
    (directory / "far").mkdir(mode=0o700)


@pytest.fixture
def shop(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.delenv("DBRE_SERVER", raising=False)
    _configure(tmp_path)
    assert root.main(Application, ["--config", str(tmp_path / "dbre.yaml"), "db", "migrate"]) == 0
    key = load_or_create_key_file(tmp_path / "dbre.audit-key")
    sets: list[BackupSet] = []

    async def fill() -> None:
        async with open_document(ground(tmp_path, key=key), document(tmp_path)) as vault:
            for number in range(2):
                copy = make_copy(tmp_path / f"copy{number}", seed=number, size=5_000)
                later = datetime(2026, 1, 1 + number, tzinfo=UTC)
                child = {"kind": CopyKind.INCREMENTAL, "parent_id": sets[0].id} if sets else {}
                sets.append(record(copy, started_at=later, stopped_at=later, **child))
                await vault.put_set(sets[-1], copy)
            await vault.put_log("orders", SYSTEM, log_file(tmp_path / "segment"), tmp_path / "segment")

    asyncio.run(fill())
    return Shop(tmp_path, capsys, sets)


def test_vaults_are_listed_checked_and_shown(shop: Shop) -> None:
    assert [(one["name"], one["is_offsite"]) for one in shop.items("vault", "list")] == [("cellar", False), ("far", True)]
    (cellar,) = shop.items("vault", "check", "cellar")
    assert (cellar["sets"], cellar["log_files"], cellar["lock"], cellar["trust"]) == (2, 1, "none", "own key")
    shown = shop.items("vault", "show", "cellar")
    assert [(one["id"], one["parent_id"]) for one in shown] == [(shop.sets[0].id, None), (shop.sets[1].id, shop.sets[0].id)]
    assert shop.items("vault", "show", "cellar", "--cluster", "others") == []
    for command in (["show", "cellra"], ["restore-state", "cellra", "--to", "new.db"]):
        code, _, err = shop.run("vault", *command)
        assert (code, "did you mean cellar" in err) == (2, True), err
    for vault in ([], ["cellar", "--path", str(shop.directory / "vault")]):
        code, _, err = shop.run("vault", "restore-state", *vault, "--to", "new.db")
        assert (code, "one vault is needed" in err) == (2, True), err
    code, _, err = shop.run("vault", "copy", "nothing", "--from", "cellar", "--to", "far")
    assert (code, "has no set 'nothing'" in err) == (2, True), err
    (far,) = shop.items("vault", "check", "far", code=3)
    assert "or take from this machine the right to delete (can_delete: false)" in str(far["problems"])


def test_a_vault_is_read_when_the_state_store_is_gone(shop: Shop) -> None:
    (shop.directory / "dbre.db").unlink()
    (shop.directory / "dbre.audit-key").unlink()
    assert len(shop.items("vault", "show", "cellar", "--no-store")) == 2
    assert shop.items("vault", "verify", "cellar", "--deep", "--no-store") == []
    (cellar,) = shop.items("vault", "check", "cellar", "--no-store", code=3)
    assert "no signer is configured" in str(cellar["problems"])


def test_faults_are_findings(shop: Shop) -> None:
    assert shop.items("vault", "verify", "cellar", "--deep") == []
    part = next((shop.directory / "vault").rglob("data-*"))
    data = bytearray(part.read_bytes())
    data[-5] ^= 1
    part.write_bytes(data)
    assert shop.items("vault", "verify", "cellar") == []
    (fault,) = shop.items("vault", "verify", "cellar", "--deep", code=3)
    assert fault["rule"] == "damaged_object"
    assert part.name in str(fault["subject"])


def test_a_key_is_made_once_and_its_private_half_shown_nowhere(shop: Shop) -> None:
    path = shop.directory / "new.age"
    code, out, err = shop.run("vault", "key", "--out", str(path), "-o", "json")
    assert code == 0
    secret = path.read_text().splitlines()[-1]
    assert secret.startswith("AGE-SECRET-KEY-1")
    assert secret not in out + err
    assert str(x25519.Identity.from_str(secret).to_public()) == json.loads(out)["items"][0]["recipient"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert shop.run("vault", "key", "--out", str(path))[0] == 2
    assert path.read_text().splitlines()[-1] == secret


def test_the_escrow_identity_opens_the_newest_chain_and_others_are_refused(shop: Shop) -> None:
    escrow = identity_file(shop.directory, ESCROW, "escrow")
    assert [one["escrow_tried_at"] for one in shop.items("vault", "check", "cellar")] == [None]
    (found,) = shop.items("vault", "escrow-drill", "cellar", "--identity", str(escrow))
    assert found["set_ids"] == [one.id for one in shop.sets]
    assert found["log_name"] == "000000010000000000000003"
    assert found["recipient"] == str(ESCROW.to_public())
    assert str(shop.items("vault", "check", "cellar")[0]["escrow_tried_at"])[:4] == f"{datetime.now(UTC):%Y}"
    (entry,) = (one for one in shop.items("audit", "list") if one["action"] == "vault.escrow_tried")
    assert (entry["subject"], entry["data"]["is_opened"]) == ("vault/cellar", True)  # type: ignore[index]
    next((shop.directory / "vault").rglob("data-*")).write_bytes(b"no age file")
    assert shop.run("vault", "escrow-drill", "cellar", "--identity", str(escrow))[0] == 7
    assert [one["data"]["is_opened"] for one in shop.items("audit", "list") if one["action"] == "vault.escrow_tried"] == [  # type: ignore[index]
        False,
        True,
    ]
    own = shop.run("vault", "escrow-drill", "cellar", "--identity", f"file:{shop.directory}/identity.age")
    assert own[0] == 2
    assert "every day" in own[2]
    stranger = identity_file(shop.directory, x25519.Identity.generate(), "stranger")
    assert shop.run("vault", "escrow-drill", "cellar", "--identity", str(stranger))[0] == 2


def test_a_set_is_copied_with_its_chain_and_log_once(shop: Shop) -> None:
    words = ("vault", "copy", shop.sets[1].id, "--from", "cellar", "--to", "far", "--with-log")
    asyncio.run(shop.know())
    (first,) = shop.items(*words)
    known = {str(one["id"]): one["vaults"] for one in shop.items("backup", "list")}
    assert known == {one.id: ["cellar", "far"] for one in shop.sets}, "restores may read it there, and expiry deletes it there"
    assert asyncio.run(shop.vaults_of_log()) == ("cellar", "far")
    assert (first["set_ids"], first["log_files"]) == ([one.id for one in shop.sets], 1)
    (again,) = shop.items(*words)
    assert (again["set_ids"], again["log_files"]) == ([], 0)
    assert shop.items("vault", "verify", "far", "--deep") == []
    assert [one["id"] for one in shop.items("vault", "show", "far")] == [one.id for one in shop.sets]
    asyncio.run(shop.mark("far", shop.sets[1].id))
    assert [one["state"] for one in shop.items("vault", "show", "far")] == ["sealed", "tombstoned"]
    (revived,) = shop.items(*words)
    assert (revived["set_ids"], revived["bytes_stored"]) == ([shop.sets[1].id], 0)
    assert [one["state"] for one in shop.items("vault", "show", "far")] == ["sealed", "sealed"], "else it would go soon"
    assert not list((shop.directory / "backup" / "vaults").glob("copy-*"))


def test_the_readme_of_a_vault_is_enough_to_read_it(shop: Shop, tmp_path: Path) -> None:
    """``age`` is not installed everywhere: a stand-in decrypts; pieces, order and the other programs are the readme's."""
    readme = (shop.directory / "vault" / "README.txt").read_text()
    line = 'for part in v1/SYSTEM/sets/SET/data-*.tar.zst.age; do age -d -i KEYFILE "$part" | zstd -dc; done | tar -x -C copy'
    assert line in readme
    programs = tmp_path / "programs"
    programs.mkdir()
    age = programs / "age"
    age.write_text(
        f"#!{sys.executable}\nimport sys, pyrage\n_, d, i, key, path = sys.argv\nassert (d, i) == ('-d', '-i')\n"
        "text = [x for x in open(key).read().splitlines() if not x.startswith('#')][0]\n"
        "pyrage.decrypt_io(open(path, 'rb'), sys.stdout.buffer, [pyrage.x25519.Identity.from_str(text)])\n"
    )
    age.chmod(0o700)
    command = line.replace("SYSTEM", SYSTEM).replace("SET", shop.sets[0].id).replace("KEYFILE", "../identity.age")
    command = command.replace(" -C copy", " -C ../by-hand")
    (shop.directory / "by-hand").mkdir()
    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=shop.directory / "vault",
        env={"PATH": f"{programs}:/usr/bin:/bin"},
        check=True,
    )
    by_hand, copy = tree(shop.directory / "by-hand"), tree(shop.directory / "copy0")
    assert {name: one[:2] for name, one in by_hand.items()} == {name: one[:2] for name, one in copy.items()}
