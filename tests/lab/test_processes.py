"""A signal reaches the processes of a server and no other, whatever pids do."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from dbre.lab.processes import Process, find_processes, kill_processes, send


@contextmanager
def running(*command: str | Path, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen([os.fspath(word) for word in command], cwd=directory)
    try:
        yield child
    finally:
        child.kill()
        child.wait()


@pytest.fixture
def pretended_server(tmp_path: Path) -> Path:
    """A program whose executable is called as a server's, but which only sleeps."""
    program = tmp_path / "bin" / "postgres"
    program.parent.mkdir()
    shutil.copy("/usr/bin/sleep", program)
    return program


def test_a_pid_that_was_used_again_is_not_signalled(tmp_path: Path) -> None:
    with running("sleep", "60", directory=tmp_path) as child:
        now = Process.read(child.pid)
        assert now is not None
        assert send(replace(now, start_ticks=now.start_ticks - 1), signal.SIGKILL) is False
        assert child.poll() is None
        assert send(now, signal.SIGKILL) is True
        assert child.wait(timeout=10) == -signal.SIGKILL
        assert send(now, signal.SIGKILL) is False


def test_a_shell_in_the_data_directory_is_not_the_servers(tmp_path: Path, pretended_server: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with (
        running("sleep", "60", directory=data) as shell,
        running(pretended_server, "60", directory=data) as server,
    ):
        assert [one.pid for one in find_processes(data)] == [server.pid]
        assert kill_processes(data) == []
        assert shell.poll() is None
        assert server.wait(timeout=10) == -signal.SIGKILL


def test_a_server_of_another_directory_with_the_same_beginning_is_left_alone(tmp_path: Path, pretended_server: Path) -> None:
    mine, other = tmp_path / "data", tmp_path / "data-2"
    mine.mkdir()
    other.mkdir()
    with running(pretended_server, "60", directory=other) as foreign:
        assert find_processes(mine) == []
        kill_processes(mine)
        assert foreign.poll() is None


def test_what_a_server_started_is_the_servers(tmp_path: Path, pretended_server: Path) -> None:
    """As the shell that PostgreSQL starts for archive_command, or the fork with which Redis saves."""
    data = tmp_path / "data"
    data.mkdir()
    server = tmp_path / "bin" / "redis-server"
    shutil.copy(os.path.realpath("/bin/bash"), server)
    with running(server, "-c", "sleep 60 & wait", directory=data) as parent:
        until = time.monotonic() + 10
        while len(found := find_processes(data)) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        assert found[0].pid == parent.pid
        assert found[1].name == "sleep"
        assert kill_processes(data) == []
        assert Process.read(found[1].pid) is None or not Process.read(found[1].pid).is_alive  # type: ignore[union-attr]


def test_a_name_with_parentheses_and_blanks_is_read(tmp_path: Path) -> None:
    program = tmp_path / "a) R 1 (b"
    program.symlink_to(sys.executable)
    with running(program, "-c", "import time; time.sleep(60)", directory=tmp_path) as child:
        process = Process.read(child.pid)
        assert process is not None
        assert process.parent == os.getpid()
        assert process.is_alive
