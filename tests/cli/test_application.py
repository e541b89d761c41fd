"""The composition root on real parts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from psycopg import sql
from sqlalchemy import text

from dbre.app import Application
from dbre.assembly import Ground, assemble
from dbre.cli.global_options import GlobalOptions
from dbre.core.store import Store
from dbre.core.store.errors import StoreDenied
from dbre.lab.postgres import PostgresServer


async def _write(store: Store) -> None:
    async with store.begin() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1


async def test_a_password_of_the_store_that_changes_while_it_is_open_is_used_for_new_connections(
    tmp_path: Path, postgres15: PostgresServer
) -> None:
    password = tmp_path / "password"
    password.touch(0o600)
    async with await postgres15.connect() as admin:
        await admin.execute("CREATE ROLE keeper LOGIN PASSWORD 'first'")
        await admin.execute("CREATE DATABASE kept OWNER keeper")
    try:
        password.write_text("first")
        state = {"url": f"postgresql://keeper@{postgres15.address}/kept", "password": "file:password"}
        (tmp_path / "dbre.yaml").write_text(json.dumps({"state": state}))
        application = Application(GlobalOptions(config_files=(tmp_path / "dbre.yaml",)))
        async with application.open_store(exclusive=True) as store:
            async with await postgres15.connect() as admin:
                await admin.execute("ALTER ROLE keeper PASSWORD 'second'")
                ours = (
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'dbre:state-store'"
                )
                assert (await (await admin.execute(ours)).fetchall()) == [(True,)]
            password.unlink()  # as it may be while it is replaced
            with pytest.raises(StoreDenied, match=r"its password is not to be had: secret file .* cannot be read"):
                await _write(store)
            password.touch(0o600)
            password.write_text("second")
            await _write(store)
    finally:
        async with await postgres15.connect() as admin:
            await admin.execute(sql.SQL("DROP DATABASE kept WITH (FORCE)"))
            await admin.execute("DROP ROLE keeper")


def test_a_working_directory_that_is_gone_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    words = 'cd "$0" && rmdir "$0" && exec "$1" -m dbre config show'
    ended = subprocess.run(
        ["sh", "-c", words, str(tmp_path / "gone"), sys.executable], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "dbre: the working directory does not exist any more\nhint: change to one that does\n"


@pytest.mark.parametrize(("flags", "is_said"), [((), False), (("-v",), True)])
def test_verbosity_counts_for_the_control_plane_above_its_configured_level(
    flags: tuple[str, ...], is_said: bool, tmp_path: Path
) -> None:
    (tmp_path / "dbre.yaml").write_text("server: {port: 0}\ntelemetry: {log_level: error}\n")
    words = [sys.executable, "-m", "dbre", "server", *flags]
    with subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "log in with the token" in line:
                process.terminate()
                break
        assert ('"event": "stop_requested"' in process.stderr.read()) is is_said
        assert process.wait(30) == 0


async def test_what_can_be_looked_at_is_what_can_be_run(tmp_path: Path) -> None:
    """Gates, schedules and exports name kinds of operations: none that a worker runs may be unknown to them."""
    (tmp_path / "dbre.yaml").write_text(json.dumps({"state": {"url": "sqlite:///state.db"}}))
    application = Application(GlobalOptions(config_files=(tmp_path / "dbre.yaml",)))
    async with application.open_store(exclusive=True) as store:
        ground = Ground(
            config=application.config,
            fleet=application.fleet,
            engines=application.engines,
            clock=application.clock,
            store=store,
        )
        assert application.operations.kinds() == assemble(ground).registry.kinds()
