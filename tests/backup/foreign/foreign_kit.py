"""Repositories that pgBackRest and Barman really made, of one PostgreSQL 15 server; all in directories of the test run."""

import asyncio
import fcntl
import gzip
import json
import os
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from dbre.core.programs.account import give
from dbre.lab.postgres import PostgresServer
from dbre.lab.site import Site
from dbre.tools.barman import BarmanRepository
from dbre.tools.pgbackrest import PgBackRestRepository

STANZA = "shop"
LIMIT_SECONDS = 120.0
_BINARIES = "/usr/lib/postgresql/15/bin"


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """A server and the two repositories that hold its backups."""

    site: Site
    server: PostgresServer
    home: Path  # everything of the two tools

    @property
    def pgbackrest_config(self) -> Path:
        return self.home / "pgbackrest.conf"

    @property
    def barman_config(self) -> Path:
        return self.home / "barman.conf"

    @property
    def pgbackrest_log(self) -> Path:
        """The directory of the segments of timeline 1."""
        return self.home / "repo/archive" / STANZA / "15-1/0000000100000000"

    @property
    def barman_log(self) -> Path:
        return self.home / "barman" / STANZA / "wals/0000000100000000"

    def pgbackrest(self, **given: object) -> PgBackRestRepository:
        known = {"account": self.site.account, "config": self.pgbackrest_config, "stanza": STANZA}
        return PgBackRestRepository(**(known | given))

    def barman(self, server: str = STANZA) -> BarmanRepository:
        return BarmanRepository(account=self.site.account, config=self.barman_config, server=server)

    async def sql(self, *statements: str) -> list[tuple]:
        async with await self.server.connect() as connection:
            for statement in statements:
                cursor = await connection.execute(statement)
            return await cursor.fetchall() if cursor.description else []

    async def add_rows(self, count: int) -> None:
        """Rows in a log file of their own, which is then full for the archives."""
        await self.sql(f"INSERT INTO ledger SELECT FROM generate_series(1, {count})", "SELECT pg_switch_wal()")

    def write_inventory(self, directory: Path) -> None:
        """A ``dbre.yaml`` that knows the server."""
        secret = directory / "password"
        secret.write_text(self.server.password.reveal())
        secret.chmod(0o600)
        address = self.server.address
        (directory / "dbre.yaml").write_text(
            "fleet:\n  clusters:\n    - name: shop-db\n      engine: postgresql\n      tls: disable\n"
            f"      user: {self.server.superuser}\n      password: file:{secret}\n"
            f"      databases: [postgres]\n      instances: [{{name: one, host: {address.host}, port: {address.port}}}]\n"
            f"backup:\n  directory: {directory}/spool\n  repositories:\n"
            f"    - {{name: old, tool: pgbackrest, config: {self.pgbackrest_config}, stanza: {STANZA}, cluster: shop-db}}\n"
        )

    async def inspect(self, tool: str, *options: str) -> tuple[int, dict]:
        """``dbre backup inspect`` as people run it: its exit status and its document."""
        config = self.pgbackrest_config if tool == "pgbackrest" else self.barman_config
        return await self.dbre("inspect", tool, "--config", config, "--stanza", STANZA, *options, directory=self.home.parent)

    async def dbre(self, *words: str | Path, directory: Path) -> tuple[int, dict]:
        """``dbre backup ...``"""
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "dbre",
            "backup",
            *map(str, words),
            "-o",
            "json",
            cwd=directory,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await child.communicate()
        assert out, err.decode()
        return child.returncode, json.loads(out)["item"]

    def run(self, *argv: str | Path) -> subprocess.CompletedProcess[str]:
        """A program as the account of the repositories."""
        return subprocess.run(
            [str(one) for one in argv],
            cwd=self.home,
            env={"PATH": os.environ["PATH"], "HOME": str(self.home), "LC_ALL": "C", "TZ": "UTC"},
            capture_output=True,
            text=True,
            check=False,
            **self.site.account.credentials(),
        )

    def hold(self, lock: Path) -> IO[bytes]:
        """The lock of a command of pgBackRest, as another one holds it."""
        file = lock.open("wb")
        give(lock, self.site.account)
        fcntl.flock(file, fcntl.LOCK_EX)
        return file

    def run_pgbackrest(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run("pgbackrest", f"--config={self.pgbackrest_config}", f"--stanza={STANZA}", *words)

    def run_barman(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run("barman", "-c", self.barman_config, *words)

    def copy(self, name: str) -> "Foreign":
        """Both repositories once more, for a test that breaks them."""
        home = self.home.with_name(name)
        home.mkdir(mode=self.home.stat().st_mode & 0o777)
        give(home, self.site.account)
        kept = [one for one in self.home.iterdir() if not one.name.startswith(".s.PGSQL") and one.name != "space"]
        subprocess.run(["cp", "-a", "--reflink=auto", *kept, home], check=True)  # thousands of files, with their owners
        for file in ("pgbackrest.conf", "barman.conf"):
            text = (home / file).read_text().replace(f"{self.home}/", f"{home}/")
            self.site.write_file(home / file, text.replace(f"pg1-socket-path={home}/", f"pg1-socket-path={self.home}/"))
        return replace(self, home=home)


def dbre(*words: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """A command that is over soon."""
    argv = [sys.executable, "-m", "dbre", *words]
    return subprocess.run(argv, cwd=directory, capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS)


def start_dbre(*words: str, directory: Path) -> subprocess.Popen[bytes]:
    """A command to be killed."""
    argv, quiet = [sys.executable, "-m", "dbre", *words], subprocess.DEVNULL
    return subprocess.Popen(argv, cwd=directory, stdout=quiet, stderr=quiet, start_new_session=True)


def wait_for_port(port: int, child: subprocess.Popen[bytes], log: Path) -> None:
    """Until a server answers."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while True:
        try:
            socket.create_connection(("localhost", port), timeout=5).close()
        except OSError:
            assert child.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < deadline, log.read_text(errors="replace")
            time.sleep(0.05)
        else:
            return


def complaints(foreign: Foreign) -> list[str]:
    """What ``barman check`` calls failed; a copy of the repositories has no receiver of its own."""
    lines = foreign.run_barman("check", STANZA).stdout.splitlines()
    assert len(lines) > 10
    return [line for line in lines if "FAILED" in line and "receive-wal running" not in line]


async def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not await asyncio.to_thread(holds):
        assert time.monotonic() < deadline, f"{what}: not after {LIMIT_SECONDS:.0f} s"
        await asyncio.sleep(0.1)


async def wait_for_barman(foreign: Foreign) -> None:
    """Barman calls itself ready once it archived a file, and its receiver may begin behind the first switch."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while True:
        await foreign.add_rows(1)
        await asyncio.to_thread(foreign.run_barman, "archive-wal", STANZA)
        checked = await asyncio.to_thread(foreign.run_barman, "check", STANZA)
        if checked.returncode == 0:
            return
        assert time.monotonic() < deadline, checked.stdout
        await asyncio.sleep(0.5)


def settings(home: Path) -> dict[str, str]:
    """What the server is told before its first start."""
    command = f"pgbackrest --config={home}/pgbackrest.conf --stanza={STANZA} archive-push %p"
    return {"archive_mode": "on", "archive_command": command, "unix_socket_directories": str(home)}


async def configure(foreign: Foreign) -> None:
    """Both configuration files, and a server that lets the account in."""
    home, site, server = foreign.home, foreign.site, foreign.server
    for name in ("repo", "log", "lock", "spool", "barman", "barman.d"):
        site.make_directory(home / name)
    access = server.data_directory / "pg_hba.conf"
    site.write_file(access, "local all all trust\nlocal replication all trust\n" + access.read_text())
    await foreign.sql("SELECT pg_reload_conf()")
    space = site.make_directory(home / "space")
    await foreign.sql(
        f"CREATE TABLESPACE fast LOCATION '{space}'",
        "CREATE TABLE elsewhere (id int) TABLESPACE fast",
        "INSERT INTO elsewhere VALUES (7)",
        "CREATE TABLE ledger (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY)",
    )
    site.write_file(
        foreign.pgbackrest_config,
        f"[global]\nrepo1-path={home}/repo\nlog-path={home}/log\nlock-path={home}/lock\nspool-path={home}/spool\n"
        f"start-fast=y\nrepo1-retention-full=2\ncompress-type=gz\ncompress-level=1\narchive-timeout=60\n[{STANZA}]\n"
        f"pg1-path={server.data_directory}\npg1-port={server.address.port}\n"
        f"pg1-socket-path={home}\npg1-user={server.superuser}\n",
    )
    conninfo = f"host={home} port={server.address.port} user={server.superuser} dbname=postgres"
    site.write_file(
        foreign.barman_config,
        f"[barman]\nbarman_home={home}/barman\nbarman_user={site.account.name}\nlog_file={home}/log/barman.log\n"
        f"configuration_files_directory={home}/barman.d\n[{STANZA}]\ndescription=shop\nconninfo={conninfo}\n"
        f"streaming_conninfo={conninfo}\nbackup_method=postgres\nstreaming_archiver=on\nslot_name=barman\n"
        f"path_prefix={_BINARIES}\ncompression=gzip\nimmediate_checkpoint=true\nretention_policy=REDUNDANCY 2\n",
    )


def receive(foreign: Foreign) -> subprocess.Popen[bytes]:
    """Barman's receiver of the log."""
    return subprocess.Popen(
        ["barman", "-c", foreign.barman_config, "receive-wal", STANZA],
        cwd=foreign.home,
        env={"PATH": os.environ["PATH"], "HOME": str(foreign.home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        **foreign.site.account.credentials(),
    )


def flip(path: Path, *, at: int) -> None:
    """One bit of a file."""
    content = bytearray(path.read_bytes())
    content[at] ^= 0x10
    path.write_bytes(content)


def flip_within(path: Path) -> None:
    """One bit of a gzipped file, such that it unpacks to something else or not at all.

    A bit at random may do nothing: most of a segment are zeros, and zeros copied from another distance are the same zeros.
    """
    good = path.read_bytes()
    whole = gzip.decompress(good)
    for at in range(len(good) // 8, len(good)):
        flip(path, at=at)
        try:
            if gzip.decompress(path.read_bytes()) != whole:
                return
        except (OSError, EOFError, zlib.error):
            return
        path.write_bytes(good)
    raise AssertionError(f"no bit of {path} matters")
