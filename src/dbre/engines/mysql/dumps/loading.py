"""A dump brought to life: a new server in a jail, the statements of the dump run in it."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from dbre.core.errors import UsageError
from dbre.core.programs.account import Account, give
from dbre.core.programs.confined import Confinement, confine, dies_with_us
from dbre.core.programs.errors import BinariesMissing, ProgramFailed
from dbre.core.programs.run import run
from dbre.core.text import counted
from dbre.engines.mysql.backup.booting import booted
from dbre.engines.mysql.backup.option_file import login_file
from dbre.engines.mysql.backup.programs import CLIENT, require_tool
from dbre.engines.mysql.backup.recovering import MariaDbRecovered
from dbre.engines.mysql.backup.source import ask
from dbre.engines.mysql.dumps.dumping import DATA, USERS, read_dump
from dbre.ports.backup.child_server import ChildServer
from dbre.ports.backup.engine import CopyProgress, RecoverOrder
from dbre.ports.backup.errors import RecoveryFailed, TargetNotReached
from dbre.ports.backup.model import Phase, Place, RecoveryOutcome, TargetKind
from dbre.ports.backup.moving import moved
from dbre.ports.file_manifest import FileManifest

__all__ = ["DUMP_FOLDER", "assemble_dump", "loaded"]

DUMP_FOLDER = ".dbre-dump"
"""Where the dump lies in the directory until it is loaded; a server takes no hidden directory for a database."""
_INSTALL = "mariadb-install-db"
_INSTALL_SECONDS = 600.0
_LOAD_SECONDS = 7 * 86_400.0
_PACKET_BYTES = 2**30  # the largest that a server takes


async def assemble_dump(
    chain: Sequence[Path], target: Path, progress: CopyProgress, *, account: Account, may_move: bool
) -> Sequence[Phase]:
    """Put the only member of a chain where it is loaded from. Raises: UsageError, CopyDamaged."""
    began = time.monotonic()
    if len(chain) != 1:
        raise UsageError(f"a dump stands alone, and {len(chain)} copies were named", hint="name one dump")
    manifest = await asyncio.to_thread(read_dump, chain[0])
    size = sum(one.size for one in manifest.files)
    await progress(0, size)
    await asyncio.to_thread(_put, chain[0], target, account, may_move)
    await progress(size, size)
    return (Phase(name="combine", seconds=time.monotonic() - began, bytes=size),)


def _put(source: Path, target: Path, account: Account, may_move: bool) -> None:
    if target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
        raise UsageError(f"{target} must be a new or empty directory", hint="a restore never writes over what is there")
    target.mkdir(mode=0o700, exist_ok=True)
    if not may_move or not moved(source, target / DUMP_FOLDER):
        shutil.copytree(source, target / DUMP_FOLDER, symlinks=True)
    for root, _, names in os.walk(target):
        give(Path(root), account)
        for name in names:
            give(Path(root, name), account)


@asynccontextmanager
async def loaded(order: RecoverOrder, *, place: Place) -> AsyncIterator[MariaDbRecovered]:
    """Make a server, load the dump, and give the server; it is killed at the end where nobody stopped it.

    Raises: TargetNotReached for any moment but the dump's own, RecoveryFailed, BinariesMissing, CopyDamaged.
    """
    if order.target.kind not in (TargetKind.LATEST, TargetKind.IMMEDIATE):
        raise TargetNotReached(
            "a dump holds one moment, and no log leads on from it", hint="restore the latest, or as of the dump: --immediate"
        )
    folder = order.directory / DUMP_FOLDER
    manifest = await asyncio.to_thread(read_dump, folder)
    facts, version = manifest.facts, order.version or str(manifest.facts["version_text"])
    began = time.monotonic()
    await _install(order.directory, place)
    phases = [Phase(name="provision", seconds=time.monotonic() - began)]
    confinement = await confine(place.account, wanted=order.jail)
    began = time.monotonic()
    async with booted(
        order, place=place, confinement=confinement, version=version, settings=facts.get("settings", {})
    ) as server:
        phases.append(Phase(name="start", seconds=time.monotonic() - began))
        began = time.monotonic()
        try:
            async with asyncio.timeout(order.timeout_seconds):
                await _load(folder, server, place, version)
        except TimeoutError as error:
            raise RecoveryFailed(f"the dump was not loaded within {order.timeout_seconds:.0f} s") from error
        size = sum(one.size for one in manifest.files)
        phases.append(Phase(name="load", seconds=time.monotonic() - began, bytes=size))
        await asyncio.to_thread(shutil.rmtree, folder)
        await ask(server.access, "backup_hold")
        ready = MariaDbRecovered(server, _outcome(manifest, server, confinement, phases))
        if not order.stays_at_target:
            phases.append(await ready.promote())
            ready = MariaDbRecovered(server, _outcome(manifest, server, confinement, phases))
        yield ready


async def _install(directory: Path, place: Place) -> None:
    """Make the tables of an empty server. Nobody can log in to it but the operating system's root, over the socket."""
    search = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin"))
    program = shutil.which(_INSTALL, path=str(place.bindir) if place.bindir else search)
    if program is None:
        raise BinariesMissing(f"{_INSTALL} is not installed on this machine", hint="apt install mariadb-server")
    if (directory / "mysql").exists():
        raise UsageError(f"{directory} holds a server already", hint="assemble the dump anew into an empty directory")
    words = [program, "--no-defaults", f"--datadir={directory}", "--auth-root-authentication-method=socket",
             "--skip-test-db", "--skip-name-resolve"]  # fmt: skip
    try:
        await run(words, account=place.account, directory=directory, timeout_seconds=_INSTALL_SECONDS)
    except ProgramFailed as error:
        raise RecoveryFailed(f"no new server can be made in {directory}: {error.message}", context=error.context) from error


async def _load(folder: Path, server: ChildServer, place: Place, version: str) -> None:
    """First the data, then users: they are granted things that must be there. Words to the client itself mean nothing."""
    client = await require_tool(CLIENT, place, version=version)
    prefix = await dies_with_us(place.account)
    with login_file(server.access, place.account) as login:
        for name in (DATA, USERS):
            path = folder / name
            if not path.exists():
                continue
            words = [*prefix, client, f"--defaults-file={login}", "--binary-mode", "--batch",
                     "--default-character-set=utf8mb4", f"--max-allowed-packet={_PACKET_BYTES}"]  # fmt: skip
            try:
                await run(
                    words, account=place.account, directory=folder, timeout_seconds=_LOAD_SECONDS, stdin=path, program=CLIENT
                )
            except ProgramFailed as error:
                raise RecoveryFailed(
                    f"{name} of the dump cannot be loaded: {error.message}",
                    hint="the lines above are the client's own; the dump can be loaded again",
                    context=error.context,
                ) from error


def _outcome(manifest: FileManifest, server: ChildServer, confinement: Confinement, phases: list[Phase]) -> RecoveryOutcome:
    facts = manifest.facts
    jail = {
        **confinement.description,
        "listeners": f"unix socket {server.access.address.host}, 0700; skip-networking",
        "replication": "skip-slave-start",
        "events": "event-scheduler=OFF",
        "log": "skip-log-bin",
        "restored from": "a dump",
    }
    return RecoveryOutcome(
        has_reached_target=True,
        reason=f"{counted(len(facts['databases']), 'database')} of the dump were loaded",
        position=None,
        last_commit_at=None,
        timeline=int(facts["server_id"]),
        phases=tuple(phases),
        address=server.access.address,
        is_jailed=confinement.is_jailed,
        jail=jail,
    )
