"""The process of Patroni beside a server: found by the data that it manages, ended where it is frozen, feared where it runs."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from dbre.capabilities.ha.fencing.rung import FenceFailed
from dbre.capabilities.ha.patroni.agent import PatroniAgent
from dbre.core.programs.processes import Process

Start = Callable[[Path], tuple[Sequence[str], dict[str, str]]]


@contextmanager
def named_like_it(directory: Path, start: Start) -> Iterator[subprocess.Popen[bytes]]:
    """A program that has Patroni's name and configuration, and waits."""
    (directory / "patroni").write_text("import time\nprint(flush=True)\ntime.sleep(600)\n")
    words, variables = start(directory)
    with subprocess.Popen([sys.executable, *words], cwd=directory, env=os.environ | variables, stdout=subprocess.PIPE) as one:
        assert one.stdout is not None
        one.stdout.readline()
        try:
            yield one
        finally:
            one.kill()


def by_file(directory: Path) -> tuple[Sequence[str], dict[str, str]]:
    (directory / "node.yml").write_text(f"postgresql: {{data_dir: {directory / 'data'}}}\n")
    return ("patroni", "node.yml"), {}


def by_directory(directory: Path) -> tuple[Sequence[str], dict[str, str]]:
    (directory / "conf").mkdir()
    (directory / "conf" / "1.yaml").write_text("scope: [unended\n")
    (directory / "conf" / "2.yaml").write_text(f"postgresql: {{data_dir: {directory / 'data'}}}\n")
    return (str(directory / "patroni"), str(directory / "conf")), {}


def by_variable(directory: Path) -> tuple[Sequence[str], dict[str, str]]:
    return ("patroni",), {"PATRONI_POSTGRESQL_DATA_DIR": str(directory / "link")}


def by_whole(directory: Path) -> tuple[Sequence[str], dict[str, str]]:
    return ("patroni",), {"PATRONI_CONFIGURATION": f"postgresql: {{data_dir: {directory / 'data'}}}"}


@pytest.mark.parametrize(
    "start", [by_file, by_directory, by_variable, by_whole], ids=["file", "directory", "variable", "whole"]
)
async def test_it_is_found_by_its_data_and_killed_only_where_it_is_frozen(tmp_path: Path, start: Start) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    agent, other = (PatroniAgent(tmp_path / name, name="n1") for name in ("data", "data2"))
    with named_like_it(tmp_path, start) as one:
        assert await other.left() is None
        assert await agent.awake() == f"process {one.pid} of Patroni runs"
        with pytest.raises(FenceFailed, match=f"runs as process {one.pid}"):
            await agent.end()
        assert one.poll() is None
        one.send_signal(signal.SIGSTOP)
        await_stopped(one.pid)
        assert (await agent.awake(), await agent.left()) == (None, f"process {one.pid} of Patroni is left")
        assert await other.end() is None
        assert one.poll() is None
        assert str(one.pid) in (await agent.end() or "")
        assert one.wait(60) == -signal.SIGKILL
        assert (await agent.left(), await agent.end()) == (None, None)


def await_stopped(pid: int) -> None:
    end = time.monotonic() + 60
    while (process := Process.read(pid)) is None or not process.is_stopped:
        assert time.monotonic() < end
        time.sleep(0.01)
