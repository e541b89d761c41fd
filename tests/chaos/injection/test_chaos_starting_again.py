"""What a fault starts again: once, and only where it was."""

import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from injection_kit import ENGINES, until

from dbre.capabilities.chaos.injection.faults import crashing
from dbre.capabilities.chaos.injection.model import Scene
from dbre.capabilities.chaos.injection.record import boot_id
from dbre.capabilities.chaos.injection.restarting import start_again
from dbre.core.errors import PrecheckFailed
from dbre.core.fleet import Address
from dbre.core.packets.namespaces import Namespace
from dbre.lab.processes import Process
from dbre.ports.engine import Access

SLOW = "import os, sys, time; open(sys.argv[1], 'a').write(f'{os.getpid()}\\n'); time.sleep(600)"


def started_as(directory: Path, log: Path) -> dict[str, Any]:
    return {
        "program": sys.executable,
        "words": [sys.executable, "-P", "-c", SLOW, str(log)],
        "directory": str(directory),
        "user": os.getuid(),
        "group": os.getgid(),
        "namespace": Namespace.own().inode(),
        "boot": boot_id(),
        "environment": {},
    }


async def test_a_server_that_takes_its_time_is_not_started_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crashing, "_START_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = Address("127.0.0.1", free.getsockname()[1])
    scene = Scene(
        id="0" * 12,
        cluster="orders",
        instance="one",
        engine="redis",
        access=Access(address=address, user=None, password=None, database=None),
        engines=ENGINES,
        parameters=crashing.CrashParameters(restart=crashing.Restart.SAME),
        seconds=1.0,
    )
    log = tmp_path / "started"
    fault = crashing.Crash(scene)
    inverse = {"boot": boot_id(), "processes": [], "killed": True, "start": started_as(tmp_path, log)}
    pids: list[int] = []
    try:
        await fault.end(inverse)
        await until(lambda: log.exists() and log.read_text().endswith("\n"))
        await fault.end(inverse)
        pids = [int(one) for one in log.read_text().split()]
        assert len(pids) == 1
        assert (await fault.look(inverse)).is_on, "nobody listens yet"
        os.kill(pids[0], signal.SIGKILL)
        await until(lambda: (now := Process.read(pids[0])) is None or not now.is_alive)
        await fault.end(inverse)  # it has ended without a word: tried again
        await until(lambda: len(log.read_text().split()) == 2)
    finally:
        for pid in {*pids, *map(int, log.read_text().split() if log.exists() else ())}:
            if (now := Process.read(pid)) is not None and now.is_alive:
                os.kill(pid, signal.SIGKILL)


def test_after_a_boot_the_number_of_a_namespace_names_another_one(tmp_path: Path) -> None:
    other = {**started_as(tmp_path, tmp_path / "started"), "boot": "an earlier one", "namespace": 4026532999}
    with pytest.raises(PrecheckFailed, match=r"namespace of .* is gone"):
        start_again(other)
    assert not (tmp_path / "started").exists()
