"""Labs with Patroni: what is asked for, as whom it runs, and that nothing of it is left."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dbre.core.errors import Unsupported, UsageError
from dbre.core.programs.run import run
from dbre.lab import Lab, LabEngine, LabSpec, take_down
from dbre.lab.etcd import find_etcd
from dbre.lab.patroni.program import find_patroni
from dbre.lab.processes import Process, find_processes
from dbre.lab.site import Site
from dbre.testing.fixtures import leave_out

_PARENT = """
import asyncio, json, sys
from pathlib import Path
from dbre.lab import Guardian, Lab, LabSpec

async def main():
    spec = LabSpec(name="doomed", replicas=1, durable=False, patroni="lan-fast")
    lab = await Lab.create(spec, Path(sys.argv[1]), guardian=Guardian())
    servers = (*lab.servers, *lab.stores)
    print(json.dumps([process.pid for server in servers for process in server.processes()]), flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def test_what_a_lab_cannot_be_is_refused_with_what_it_can() -> None:
    with pytest.raises(UsageError, match="'lan-fats' is not a preset of Patroni's settings") as wrong:
        LabSpec(patroni="lan-fats")
    assert wrong.value.hint == "did you mean lan-fast?"
    with pytest.raises(UsageError, match="Patroni runs postgresql only, not redis"):
        LabSpec(patroni="safe", engine=LabEngine.REDIS)


async def test_the_servers_account_can_run_patroni(lab_site: Site) -> None:
    try:
        program = await find_patroni(account=lab_site.account, cache=lab_site.cache)
    except Unsupported as error:
        leave_out(error)
    done = await run([*program.command, "--version"], account=lab_site.account, directory=Path("/"))
    assert program.version in done.stdout


def require_etcd(site: Site) -> None:
    try:
        find_etcd(account=site.account)
    except Unsupported as error:
        leave_out(error)


@pytest.mark.soak
@pytest.mark.timeout(300)
async def test_a_lab_is_found_again_with_its_etcd_and_goes_away(open_directory: Path, lab_site: Site) -> None:
    require_etcd(lab_site)
    directory = open_directory / "kept"
    await Lab.create(LabSpec(name="kept", durable=False, patroni="safe"), directory)
    try:
        again = Lab.open("kept", directory)
        assert again.cluster is not None
        assert (await again.cluster.wait_healthy()).name == "kept-1"
        listed = {one.name: one.role for one in await again.status()}
        assert set(listed) == {"kept-1", "kept-2", "kept-etcd-1", "kept-etcd-2", "kept-etcd-3"}
        assert listed["kept-etcd-1"] is None
        assert again.server("kept-etcd-2").is_running
        text = again.config_file.read_text()
        assert "preset: safe" in text
        assert "control:" not in text  # Patroni starts and stops them
    finally:
        assert take_down("kept", directory)
    assert not find_processes(directory)


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_nothing_is_left_of_a_lab_whose_owner_was_killed(open_directory: Path, lab_site: Site) -> None:
    require_etcd(lab_site)
    directory = open_directory / "doomed"
    parent = subprocess.Popen([sys.executable, "-c", _PARENT, directory], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        pids = json.loads(parent.stdout.readline())
        assert len(pids) > 10
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.communicate()
    until = time.monotonic() + 60
    while left := [pid for pid in pids if (one := Process.read(pid)) is not None and one.is_alive] or directory.exists():
        assert time.monotonic() < until, left
        time.sleep(0.05)
