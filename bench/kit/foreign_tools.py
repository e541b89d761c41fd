"""pgBackRest and Barman beside dbre, on the same server: configured, backing up, restoring, booted."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kit.backup_scene import DEBIAN, Scene, Stopwatch, run_checked

STANZA = "bench"
LIMIT_SECONDS = 300.0


@dataclass(kw_only=True)
class Foreign:
    """Both tools; everything of theirs lies below ``home``."""

    scene: Scene
    home: Path

    @property
    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "LC_ALL": "C", "TZ": "UTC"}

    async def run(self, *argv: str | Path) -> str:
        return await asyncio.to_thread(
            run_checked, *argv, site=self.scene.site, environment=self._environment, directory=self.home
        )

    async def pgbackrest(self, *words: str) -> str:
        return await self.run("pgbackrest", f"--config={self.home}/pgbackrest.conf", f"--stanza={STANZA}", *words)

    async def barman(self, *words: str | Path) -> str:
        return await self.run("barman", "-c", self.home / "barman.conf", *words)

    def receive(self) -> subprocess.Popen[bytes]:
        """Barman's receiver of the log."""
        return subprocess.Popen(
            ["barman", "-c", str(self.home / "barman.conf"), "receive-wal", STANZA],
            cwd=self.home,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            **self.scene.site.account.credentials(),
        )

    def bytes_of(self, name: str) -> int:
        """Bytes of a repository's copies."""
        below = {"pgbackrest": self.home / "repo/backup", "barman": self.home / "barman" / STANZA / "base"}[name]
        return sum(path.lstat().st_size for path in below.rglob("*") if path.is_file() and not path.is_symlink())

    async def wait_for_log(self, name: str) -> None:
        """Until both archives have a log file."""
        folder = name[:16]
        mine = self.home / "repo/archive" / STANZA / "15-1" / folder
        await until(lambda: any(mine.glob(f"{name}-*")), f"{name} in the archive of pgBackRest")
        theirs = self.home / "barman" / STANZA / "wals" / folder / name
        deadline = time.monotonic() + LIMIT_SECONDS
        while not theirs.exists():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} in the archive of Barman")
            await self.barman("archive-wal", STANZA)
            await asyncio.sleep(0.2)

    async def boot(self, data: Path, watch: Stopwatch) -> int:
        """Start a restored server, wait until it takes writes, ask the first query: how many rows pgbench's history has."""
        site, log = self.scene.site, data.parent / f"{data.name}.log"
        socket = site.make_directory(self.home / f"s-{data.name}")
        options = f"-c listen_addresses= -c unix_socket_directories={socket} -c port=5432 -c archive_mode=off"
        with watch("boot"):
            await self.run(DEBIAN / "pg_ctl", "start", "-w", "-t", "600", "-D", data, "-l", log, "-o", options)
            while await self._ask(socket, "SELECT pg_is_in_recovery()") != "f":  # noqa: ASYNC110 -- another process knows
                await asyncio.sleep(0.05)
            asked = await self._ask(socket, "SELECT count(*) FROM pgbench_history")
        await self.run(DEBIAN / "pg_ctl", "stop", "-m", "immediate", "-D", data)
        return int(asked)

    async def _ask(self, socket: Path, text: str) -> str:
        user = self.scene.server.superuser
        return (await self.run(DEBIAN / "psql", "-h", socket, "-U", user, "-d", "postgres", "-XAtc", text)).strip()


async def until(holds: Callable[[], bool], what: str) -> None:
    """Wait for it. Raises: TimeoutError."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not await asyncio.to_thread(holds):
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        await asyncio.sleep(0.1)


def archive_settings(home: Path) -> dict[str, str]:
    """What the server is told before its first start."""
    command = f"pgbackrest --config={home}/pgbackrest.conf --stanza={STANZA} archive-push %p"
    return {"archive_mode": "on", "archive_command": command, "unix_socket_directories": str(home)}


async def configure(scene: Scene, home: Path) -> Foreign:
    """pgBackRest with two processes, zstd at our level and encryption, as our vault; Barman as it comes: it has neither."""
    site, server = scene.site, scene.server
    for name in ("repo", "log", "lock", "spool", "barman", "barman.d"):
        site.make_directory(home / name)
    access = server.data_directory / "pg_hba.conf"
    site.write_file(access, "local all all trust\nlocal replication all trust\n" + access.read_text())
    await scene.query("SELECT pg_reload_conf()")
    site.write_file(
        home / "pgbackrest.conf",
        f"[global]\nrepo1-path={home}/repo\nlog-path={home}/log\nlock-path={home}/lock\nspool-path={home}/spool\n"
        "start-fast=y\nrepo1-retention-full=9\ncompress-type=zst\ncompress-level=3\nprocess-max=2\narchive-timeout=120\n"
        "repo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=bench\nlog-level-console=warn\n"
        f"[global:archive-get]\narchive-async=y\n[{STANZA}]\n"
        f"pg1-path={server.data_directory}\npg1-port={server.address.port}\n"
        f"pg1-socket-path={home}\npg1-user={server.superuser}\n",
    )
    conninfo = f"host={home} port={server.address.port} user={server.superuser} dbname=postgres"
    site.write_file(
        home / "barman.conf",
        f"[barman]\nbarman_home={home}/barman\nbarman_user={site.account.name}\nlog_file={home}/log/barman.log\n"
        f"configuration_files_directory={home}/barman.d\n[{STANZA}]\ndescription=bench\nconninfo={conninfo}\n"
        f"streaming_conninfo={conninfo}\nbackup_method=postgres\nstreaming_archiver=on\nslot_name=barman\n"
        f"path_prefix={DEBIAN}\ncompression=gzip\nimmediate_checkpoint=true\n",
    )
    return Foreign(scene=scene, home=home)


async def make_ready(foreign: Foreign) -> subprocess.Popen[bytes]:
    """Stanza, slot and receiver; waits until Barman calls itself ready."""
    await foreign.pgbackrest("stanza-create")
    await foreign.barman("receive-wal", "--create-slot", STANZA)
    receiver = foreign.receive()
    deadline = time.monotonic() + LIMIT_SECONDS
    while True:
        await foreign.scene.query("SELECT pg_switch_wal()", "CREATE TABLE IF NOT EXISTS nothing ()", "DROP TABLE nothing")
        await foreign.barman("archive-wal", STANZA)
        try:
            await foreign.barman("check", STANZA)
        except RuntimeError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.5)
            continue
        return receiver


def end(receiver: subprocess.Popen[bytes]) -> None:
    """Kill the receiver with what it started."""
    os.killpg(receiver.pid, signal.SIGKILL)
    receiver.wait()
