"""What is made once is made once, also by many processes, and also after one of them died at it."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dbre.core.programs.account import choose_account
from dbre.core.programs.cache import build_once, cache_directory
from dbre.core.programs.errors import DirectoryUnusable

_BUILDER = """
import asyncio, os, sys
from pathlib import Path
from dbre.core.programs.cache import build_once

async def build(directory):
    (directory / "half").write_text(str(os.getpid()))
    await asyncio.sleep(0.2)
    (directory / "half").rename(directory / "whole")

async def main():
    made = await build_once(Path(sys.argv[1]), build)
    print((made / "whole").read_text())

asyncio.run(main())
"""


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_many_processes_get_what_one_of_them_made(tmp_path: Path) -> None:
    builders = [
        subprocess.Popen([sys.executable, "-c", _BUILDER, tmp_path / "thing"], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    makers = {builder.communicate(timeout=60)[0] for builder in builders}
    assert len(makers) == 1
    assert makers != {""}


async def test_what_a_dead_builder_left_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "thing.building-00").mkdir()
    (tmp_path / "thing.building-00" / "rubbish").touch()

    async def build(directory: Path) -> None:
        (directory / "good").touch()

    made = await build_once(tmp_path / "thing", build)
    assert names(made) == ["good"]
    assert names(tmp_path) == ["thing", "thing.lock"]


async def test_a_failed_build_leaves_nothing_and_the_next_one_succeeds(tmp_path: Path) -> None:
    async def fail(directory: Path) -> None:
        raise ValueError("no luck")

    async def succeed(directory: Path) -> None:
        (directory / "good").touch()

    with pytest.raises(ValueError, match="no luck"):
        await build_once(tmp_path / "thing", fail)
    assert not (tmp_path / "thing").exists()
    await build_once(tmp_path / "thing", succeed)
    assert (tmp_path / "thing" / "good").exists()


async def test_waiting_for_another_builder_ends_with_an_error_that_says_for_what(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dbre.core.programs.cache._LOCK_SECONDS", 0.2)

    async def hang(directory: Path) -> None:
        await asyncio.sleep(60)

    first = asyncio.create_task(build_once(tmp_path / "thing", hang))
    await asyncio.sleep(0.05)
    with pytest.raises(Exception, match=rf"another process has been making {tmp_path / 'thing'}"):
        await build_once(tmp_path / "thing", hang)
    first.cancel()
    await asyncio.wait([first])


def test_a_cache_that_others_can_write_or_own_is_not_used(
    open_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = choose_account(os.environ)
    trap = open_directory / "dbre"
    trap.mkdir()
    trap.chmod(0o777)
    chosen = cache_directory(account, {"XDG_CACHE_HOME": str(open_directory), "HOME": str(tmp_path)})
    assert chosen != trap
    trap.chmod(0o755)
    assert cache_directory(account, {"XDG_CACHE_HOME": str(open_directory)}) == trap
    target = tmp_path / "target"
    target.mkdir()
    trap.rmdir()
    trap.symlink_to(target)
    assert cache_directory(account, {"XDG_CACHE_HOME": str(open_directory), "HOME": str(tmp_path)}) != trap


def test_no_directory_at_all_is_an_error_that_names_those_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbre.core.programs.cache._is_usable", lambda *_: False)
    with pytest.raises(DirectoryUnusable, match=f"tried {tmp_path}/dbre, "):
        cache_directory(choose_account(os.environ), {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)})
