"""A drill as a user without any privilege; one that is killed, and goes on."""

import asyncio
import json
import os
import shutil
import signal
import sys
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from drills_world import World, wait_for

import dbre
from dbre.core.programs.account import Account, first_barrier, give

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # a busy machine needs minutes for the server of all tests

_CHILD = Path(__file__).parent / "drill_child.py"


def python_for(account: Account, directory: Path) -> tuple[Path, dict[str, str]]:
    """This interpreter, or a copy of it where the account cannot reach it; with the environment that it needs."""
    own = Path(sys.executable).resolve()
    if first_barrier(own.parent, account) is None:
        return Path(sys.executable), {}
    name, library = own.name, Path(sysconfig.get_paths()["stdlib"])
    home = directory / "python"
    if not home.exists():
        ignored = shutil.ignore_patterns("test", "tests", "__pycache__", "site-packages", "config-*", "idlelib", "tkinter")
        shutil.copytree(library, home / "lib" / library.name, ignore=ignored, symlinks=True)
        (home / "bin").mkdir()
        shutil.copy(own, home / "bin" / name)
        for shared in library.parent.glob("libpython*.so*"):
            shutil.copy(shared, home / "lib")
    return home / "bin" / name, {"PYTHONHOME": str(home), "LD_LIBRARY_PATH": str(home / "lib")}


def without_namespaces(account: Account) -> tuple[str, ...]:
    """Words that begin a program as the account, where nobody may make user namespaces, as hardened machines have it.

    It waits for a line, until somebody gave it the numbers of users.
    """
    drop = f"setpriv --reuid={account.uid} --regid={account.gid} --clear-groups"
    forbid = f'echo 0 > /proc/sys/user/max_user_namespaces && exec {drop} -- "$@"'
    script = 'read go && exec sh -c "$0" sh "$@"'  # a program that is begun as root of the namespace may write there
    return ("unshare", "--user", "sh", "-c", script, forbid)


async def give_numbers(process: asyncio.subprocess.Process) -> None:
    """Let the namespace of a process have all users that there are, and let it go on."""
    mine, its = Path("/proc/self"), Path(f"/proc/{process.pid}")

    async def has_its_own() -> bool:
        return (its / "ns/user").readlink() != (mine / "ns/user").readlink()

    await wait_for("a namespace of users", has_its_own)
    for name in ("uid_map", "gid_map"):
        (its / name).write_text("0 0 65536")
    assert process.stdin is not None
    process.stdin.write(b"go\n")
    await process.stdin.drain()


@asynccontextmanager
async def child(
    world: World, place: Path, facts: dict[str, str], prefix: tuple[str, ...] = ()
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of that account on the files of ``place``."""
    account = world.site.account
    for path in (place, *place.rglob("*")):
        give(path, account)
    told = place / "facts.json"
    told.write_text(json.dumps(facts))
    told.chmod(0o644)
    python, needed = await asyncio.to_thread(python_for, account, world.directory)
    paths = [Path(dbre.__file__).parents[1], sysconfig.get_paths()["purelib"]]
    process = await asyncio.create_subprocess_exec(
        *prefix, python, _CHILD, told, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=place,
        start_new_session=True,
        env={"PATH": os.environ["PATH"], "HOME": str(place), "PYTHONPATH": os.pathsep.join(map(str, paths)), **needed},
        **({} if prefix else account.credentials()),
    )  # fmt: skip
    try:
        if prefix:
            await give_numbers(process)
        yield process
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def facts_of(world: World, place: Path) -> dict[str, str]:
    return {
        "directory": str(place), "cache": str(world.site.cache), "number": str(uuid4()), "target": "latest", "mode": "faithful",
    }  # fmt: skip


async def test_an_ordinary_user_drills_as_well_as_root_in_a_jail(world: World, place: Path) -> None:
    async with world.damaged(place):
        pass
    async with child(world, place, facts_of(world, place)) as process:
        output, _ = await asyncio.wait_for(process.communicate(), 200)
    found = json.loads(output.decode().splitlines()[-1])
    assert found["uid"] != 0
    assert found["verdict"] == "pass", found
    assert found["jail"]["is_jailed"] is True, found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a namespace the numbers of other users")
async def test_without_user_namespaces_the_drill_says_what_holds_it_and_still_proves(world: World, place: Path) -> None:
    async with world.damaged(place):
        pass
    prefix = without_namespaces(world.site.account)
    async with child(world, place, facts_of(world, place), prefix) as process:
        output, _ = await asyncio.wait_for(process.communicate(), 200)
    found = json.loads(output.decode().splitlines()[-1])
    assert (found["uid"], found["verdict"]) == (world.site.account.uid, "pass"), found
    assert found["jail"]["is_jailed"] is False
    assert "gives no namespace" in found["jail"]["jail"]["network"], found


async def test_a_drill_that_was_killed_leaves_no_server_and_goes_on_to_its_verdict(world: World, place: Path) -> None:
    facts = facts_of(world, place)
    scratch = place / "backup" / "drills" / facts["number"]
    async with world.damaged(place):
        pass
    async with child(world, place, facts) as process:
        await wait_for("its server", lambda: _running_below(scratch))
        process.kill()
        await process.wait()
        await wait_for("the end of its server", lambda: _nothing_below(scratch))
    async with child(world, place, facts) as process:
        output, _ = await asyncio.wait_for(process.communicate(), 200)
    found = json.loads(output.decode().splitlines()[-1])
    assert found["verdict"] == "pass", found
    assert not scratch.exists()


async def _running_below(directory: Path) -> list[int]:
    """Processes whose command line or working directory lies there."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            told = (entry / "cmdline").read_text() + str((entry / "cwd").readlink())
        except OSError:  # it has ended
            continue
        found += [int(entry.name)] if str(directory) in told else []
    return found


async def _nothing_below(directory: Path) -> bool:
    return not await _running_below(directory)
