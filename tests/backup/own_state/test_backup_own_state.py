"""The state store of a control plane is lost, and comes back from a vault alone."""

import json
import shutil
import signal
import tempfile
from dataclasses import replace
from pathlib import Path

import own_state_kit as kit
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from dbre.capabilities.backup.own_state.backups import StateBackups
from dbre.capabilities.backup.own_state.model import CLUSTER, newest_first
from dbre.capabilities.backup.own_state.restoring import NoStateCopy, restore_state
from dbre.capabilities.backup.vault.opening import open_vault
from dbre.core.errors import DbreError, UsageError
from dbre.core.programs.run import run
from dbre.core.secrets import SecretReference
from dbre.core.store import open_store
from dbre.demo.control_plane import ControlPlaneProcess
from dbre.lab.postgres import PostgresServer
from dbre.lab.site import Site


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_control_plane_that_lost_its_state_goes_on_from_the_vault(tmp_path: Path) -> None:
    values = kit.vault_values(tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    url = f"sqlite:///{home / 'dbre.db'}"
    plane = ControlPlaneProcess(home, {"vaults": [values], "backup": {"state_vaults": ["cellar"], "state_every": "7d"}})
    async with open_store(url, clock=kit.CLOCK, migrate=True) as store:
        await kit.write_entries(store, *map(str, range(25)))

    words = ("vault", "restore-state", "--path", str(tmp_path / "vault"), "--identity", str(tmp_path / "identity.age"))

    async def has_copy() -> bool:
        found = kit.command(*words, "--to", str(tmp_path / "look.db"), cwd=tmp_path)
        (tmp_path / "look.db").unlink(missing_ok=True)
        return found.returncode == 0

    await plane.start()
    try:
        await kit.wait_for(f"a copy in the vault; {plane.log_tail()}", has_copy)
        async with open_store(url, clock=kit.CLOCK) as store:
            await kit.write_entries(store, "of the last minutes")
            before = await kit.count_entries(store)
        assert await plane.stop(signal.SIGKILL) == -signal.SIGKILL
        for lost in home.glob("dbre.db*"):
            lost.unlink()
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()  # no configuration here
        done = kit.command(*words, "--to", str(home / "dbre.db"), "-o", "json", cwd=elsewhere)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["items"][0]["engine"] == "sqlite"
        await plane.start()
        async with open_store(url, clock=kit.CLOCK) as store:
            after = await kit.count_entries(store)
        assert 25 <= after < before
        verified = kit.command("--config", str(plane.config_file), "audit", "verify", cwd=elsewhere)
        assert verified.returncode == 0, verified.stdout + verified.stderr
    finally:
        await plane.stop()


async def test_the_newest_copies_are_kept_and_older_ones_go(tmp_path: Path) -> None:
    values = {**kit.vault_values(tmp_path), "identity": f"file:{tmp_path / 'identity.age'}"}
    async with open_store(f"sqlite:///{tmp_path / 'dbre.db'}", clock=kit.CLOCK, migrate=True) as store:
        ground = kit.ground_of(tmp_path, values, store, cache=tmp_path, keep=2)
        made = []
        for number in range(4):
            await kit.write_entries(store, str(number))
            made.append(await StateBackups(ground).take())
        async with open_vault(ground, "cellar") as vault:
            assert [one.id for one in newest_first(await vault.catalog(CLUSTER))] == [made[3].id, made[2].id]
            assert await vault.verify(deep=True) == []
        assert not list((ground.directory / "state").iterdir())
        older = await restore_state(ground, ground.vaults[0], tmp_path / "older.db", set_id=made[2].id)
        assert older.copy.id == made[2].id
        with pytest.raises(UsageError, match="exists already"):
            await restore_state(ground, ground.vaults[0], tmp_path / "older.db")
        with pytest.raises(NoStateCopy, match="no copy of a state store with the id"):
            await restore_state(ground, ground.vaults[0], tmp_path / "oldest.db", set_id=made[0].id)
    async with open_store(f"sqlite:///{tmp_path / 'older.db'}", clock=kit.CLOCK) as store:
        assert await kit.count_entries(store) == 3


async def test_a_changed_copy_is_never_restored(tmp_path: Path) -> None:
    values = {**kit.vault_values(tmp_path), "identity": f"file:{tmp_path / 'identity.age'}"}
    async with open_store(f"sqlite:///{tmp_path / 'dbre.db'}", clock=kit.CLOCK, migrate=True) as store:
        ground = kit.ground_of(tmp_path, values, store, cache=tmp_path)
        await StateBackups(ground).take()
    victim = max((path for path in (tmp_path / "vault").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.chmod(0o600)
    victim.write_bytes(data)
    with pytest.raises(DbreError, match="SHA-256"):
        await restore_state(ground, ground.vaults[0], tmp_path / "back.db")
    assert not (tmp_path / "back.db").exists()
    assert not list(tmp_path.glob(".dbre-state-*"))


async def test_copies_of_two_stores_are_told_apart(tmp_path: Path) -> None:
    values = {**kit.vault_values(tmp_path), "identity": f"file:{tmp_path / 'identity.age'}"}
    ground = None
    for name in ("one", "other"):
        async with open_store(f"sqlite:///{tmp_path / name}.db", clock=kit.CLOCK, migrate=True) as store:
            ground = kit.ground_of(tmp_path, values, store, cache=tmp_path) if ground is None else replace(ground, store=store)
            await StateBackups(ground).take()
    assert ground is not None
    with pytest.raises(UsageError, match="copies of 2 state stores"):
        await restore_state(ground, ground.vaults[0], tmp_path / "back.db")


async def test_a_store_in_postgresql_comes_back_as_its_dump(postgres16: PostgresServer, lab_site: Site) -> None:
    directory = Path(tempfile.mkdtemp(prefix="state-", dir=lab_site.directory))
    directory.chmod(0o711)
    try:
        values = {**kit.vault_values(directory), "identity": f"file:{directory / 'identity.age'}"}
        async with await postgres16.connect() as connection:
            await connection.execute("CREATE DATABASE dbre_state_copied")
            await connection.execute("CREATE DATABASE dbre_state_back")
        where = postgres16.address
        url = f"postgresql://{postgres16.superuser}@{where.host}:{where.port}/dbre_state_copied?sslmode=disable"
        (directory / "password").write_text(postgres16.password.reveal())
        (directory / "password").chmod(0o600)
        password = SecretReference.parse(f"file:{directory / 'password'}")
        async with open_store(url, clock=kit.CLOCK, migrate=True, password=postgres16.password) as store:
            await kit.write_entries(store, *map(str, range(7)))
            ground = kit.ground_of(directory, values, store, cache=lab_site.cache)
            made = await StateBackups(ground, password=password).take()
            assert (made.engine, made.details["database"]) == ("postgresql", "dbre_state_copied")
        found = await restore_state(ground, ground.vaults[0], directory / "back")
        assert found.copy.id == made.id
        conninfo = make_conninfo("", host=where.host, port=where.port, user=postgres16.superuser, dbname="dbre_state_back")
        await run(
            [postgres16.binaries.program("pg_restore"), f"--dbname={conninfo}", "--exit-on-error",
             directory / "back" / "databases" / "0001"],
            account=replace(lab_site.account, switch=False), directory=directory,
            environment={"PGPASSWORD": postgres16.password.reveal()},
        )  # fmt: skip
        async with await psycopg.AsyncConnection.connect(postgres16.conninfo(database="dbre_state_back")) as connection:
            assert await (await connection.execute("SELECT count(*) FROM audit_entry")).fetchone() == (7,)
    finally:
        async with await postgres16.connect() as connection:
            await connection.execute("DROP DATABASE IF EXISTS dbre_state_copied WITH (FORCE)")
            await connection.execute("DROP DATABASE IF EXISTS dbre_state_back WITH (FORCE)")
        shutil.rmtree(directory, ignore_errors=True)
