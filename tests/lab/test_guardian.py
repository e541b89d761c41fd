"""What a process started does not outlive it, however it ends."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dbre.lab.guardian import Guardian
from dbre.lab.processes import Process, find_processes

_PARENT = """
import asyncio, json, os, sys
from pathlib import Path
from dbre.lab import Guardian, Lab, LabEngine, LabSpec

async def main():
    guardian = Guardian()
    lab = await Lab.create(
        LabSpec(name="doomed", engine=LabEngine(sys.argv[2]), replicas=int(sys.argv[3]), durable=False),
        Path(sys.argv[1]), guardian=guardian)
    if sys.argv[4] == "frozen":
        for server in lab.servers:
            await server.freeze()
    print(json.dumps([process.pid for server in lab.servers for process in server.processes()]), flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def _gone(directory: Path, pids: list[int], *, seconds: float = 30.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        living = [one for pid in pids if (one := Process.read(pid)) is not None and one.is_alive]
        if not directory.exists() and not living:
            return True
        time.sleep(0.05)
    return False


def _segments() -> set[str]:
    lines = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    return {line.split()[1] for line in lines}


@pytest.mark.parametrize("state", ["running", "frozen"])
@pytest.mark.parametrize(("engine", "replicas"), [("postgresql", "1"), ("redis", "0")])
def test_servers_die_with_a_parent_that_is_killed(
    engine: str, replicas: str, state: str, open_directory: Path, postgres18: object, redis_server: object
) -> None:
    directory = open_directory / "doomed"
    segments = _segments()
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, directory, engine, replicas, state], stdout=subprocess.PIPE, text=True
    )
    try:
        assert parent.stdout is not None
        pids = json.loads(parent.stdout.readline())
        assert len(pids) >= 1
        assert find_processes(directory)
        assert not any("/dev/shm/PostgreSQL" in Path(f"/proc/{pid}/maps").read_text() for pid in pids)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.communicate()
    assert _gone(directory, pids)
    assert not _ours(_segments() - segments, pids)


def _ours(segments: set[str], pids: list[int]) -> set[str]:
    """Those that our processes made: other tests run at the same time."""
    rows = [line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    return {row[1] for row in rows if row[1] in segments and int(row[4]) in pids}


def test_a_killed_guardian_is_replaced_and_the_new_one_knows_everything(open_directory: Path) -> None:
    guardian = Guardian()
    first, second = open_directory / "first", open_directory / "second"
    first.mkdir()
    second.mkdir()
    guardian.watch(first)
    assert guardian._process is not None
    guardian._process.kill()
    guardian._process.wait()
    guardian.watch(second)
    guardian.close()
    assert not first.exists()
    assert not second.exists()


def test_what_is_released_stays(open_directory: Path) -> None:
    guardian = Guardian()
    kept = open_directory / "kept"
    kept.mkdir()
    guardian.watch(kept)
    guardian.release(kept)
    guardian.close()
    assert kept.exists()
