"""What a killed process left behind is found by its claim, ended and removed; what somebody works in is let alone."""

import asyncio
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from dbre.capabilities.backup.restoring.claims import claimed, live_claims, read_claims
from dbre.capabilities.backup.restoring.leftovers import collect_leftovers

_WORKER = """
import asyncio, subprocess, sys
from pathlib import Path
from dbre.capabilities.backup.restoring.claims import claimed

async def main():
    root, work, beside = map(Path, sys.argv[1:])
    async with claimed(root, purpose="restore of orders", sets=["a", "b"], directories=[work, beside]):
        for one in (work, beside):
            one.mkdir(parents=True)
            (one / "people").write_text("data")
        server = subprocess.Popen(["sleep", "600"], cwd=work)
        print(server.pid, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def _ground(directory: Path) -> Any:
    return SimpleNamespace(directory=directory, store=None)


def _begin(*paths: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", _WORKER, *map(str, paths)], stdout=subprocess.PIPE, text=True)


async def test_what_a_killed_restore_left_is_removed_and_its_server_ended(tmp_path: Path) -> None:
    root = tmp_path / "backup"
    work, beside, stranger = root / "restoring" / "scratch-1", tmp_path / ".data.dbre-1", tmp_path / "precious"
    stranger.mkdir()
    worker = _begin(root, work, beside)
    try:
        assert worker.stdout is not None
        server = int(await asyncio.to_thread(worker.stdout.readline))
        assert [one.sets for one in await live_claims(root)] == [("a", "b")]
        assert await collect_leftovers(_ground(root)) == ()
        assert (work / "people").exists(), "somebody works there"
    finally:
        worker.kill()
        worker.wait(timeout=60)
    assert await live_claims(root) == ()
    assert set(await collect_leftovers(_ground(root))) == {work, beside}
    assert not work.exists()
    assert not beside.exists()
    assert not Path(f"/proc/{server}/cwd").exists() or not Path(f"/proc/{server}/cmdline").read_bytes()
    assert read_claims(root) == ()
    assert [one.name for one in tmp_path.iterdir() if one != root] == ["precious"]


async def test_a_directory_that_is_claimed_anew_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    work = tmp_path / "drills" / "17"
    worker = _begin(tmp_path, work, tmp_path / ".unused.dbre-1")
    assert worker.stdout is not None
    await asyncio.to_thread(worker.stdout.readline)
    worker.kill()
    worker.wait(timeout=60)
    async with claimed(tmp_path, purpose="drill", sets=["c"], directories=[work]):
        removed = await collect_leftovers(_ground(tmp_path))
        assert work.exists()
        assert work not in removed
        assert [one.sets for one in await live_claims(tmp_path)] == [("c",)]
    assert len(read_claims(tmp_path)) == 1, "its directory is still there, so its claim is, too"
    assert await collect_leftovers(_ground(tmp_path)) == (work,)


async def test_nothing_outside_goes_whatever_a_claim_says(tmp_path: Path) -> None:
    outside = tmp_path / "precious"
    outside.mkdir()
    root = tmp_path / "backup"
    async with claimed(root, purpose="mischief", sets=[], directories=[outside]):
        pass
    assert await collect_leftovers(_ground(root)) == ()
    assert outside.is_dir()
