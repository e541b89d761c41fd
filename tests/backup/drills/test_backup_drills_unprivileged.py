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


@asynccontextmanager
async def child(world: World, place: Path, facts: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
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
        python, _CHILD, told, stdout=asyncio.subprocess.PIPE, cwd=place, start_new_session=True,
        env={"PATH": os.environ["PATH"], "HOME": str(place), "PYTHONPATH": os.pathsep.join(map(str, paths)), **needed},
        **account.credentials(),
    )  # fmt: skip
    try:
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
