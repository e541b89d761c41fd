"""A start that cannot succeed: one clear message, the documented exit code, and nothing begun."""

import asyncio
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from plane_kit import Ended, answers, cluster, configuration, events, run, slo, unreachable, until, write_configuration

from dbre.core.errors import ExitCode
from dbre.demo.control_plane import ControlPlaneProcess, write_private
from dbre.lab.free_port import choose_port
from dbre.lab.postgres import PostgresServer

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def plane(tmp_path: Path) -> ControlPlaneProcess:
    return write_configuration(tmp_path, configuration([unreachable("gone", choose_port())], directory=tmp_path))


async def refused(plane: ControlPlaneProcess, *arguments: str, **environment: str) -> Ended:
    ended = await run(*plane.command("server", *arguments), cwd=plane.directory, **environment)
    assert "Traceback" not in ended.errors
    assert ended.errors.startswith("dbre: "), ended.errors
    return ended


async def test_second_control_plane_on_the_same_state_names_the_first(plane: ControlPlaneProcess) -> None:
    await plane.start()
    try:
        ended = await refused(plane, "--set", "server.port=0")
        assert ended.code == ExitCode.CONFLICT
        assert f"belongs to another control plane: process {plane.pid}" in ended.errors
        assert "hint: stop that one first" in ended.errors
        ready = await answers(plane, "/readyz")
        assert ready is not None
        assert ready.status_code == 200
    finally:
        await plane.stop()


async def test_port_that_is_taken_is_a_conflict_and_no_state_is_made(plane: ControlPlaneProcess) -> None:
    with socket.create_server(("127.0.0.1", plane.port)):
        ended = await refused(plane)
    assert ended.code == ExitCode.CONFLICT
    assert f"127.0.0.1:{plane.port} is taken by another process" in ended.errors
    assert "--set server.port=" in ended.errors
    assert "names a control plane that runs already" in ended.errors
    assert not (plane.directory / "dbre.db").exists()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "a" * 70 + ".example", "127.0.0.1\n"])
async def test_host_that_is_not_ours_is_a_usage_error(plane: ControlPlaneProcess, host: str) -> None:
    ended = await refused(plane, "--set", f"server.host={host}")
    assert ended.code == ExitCode.USAGE
    assert "server.host" in ended.errors
    assert not (plane.directory / "dbre.db").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take a capability away")
async def test_privileged_port_without_the_privilege(plane: ControlPlaneProcess) -> None:
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 80:
        pytest.skip("every user may take port 80 on this machine")
    without = ["setpriv", "--bounding-set", "-net_bind_service", "--inh-caps", "-net_bind_service"]
    ended = await run(*without, *plane.command("server", "--set", "server.port=80"), cwd=plane.directory)
    assert ended.code == ExitCode.USAGE
    assert "cannot listen on 127.0.0.1:80: Permission denied" in ended.errors
    assert "higher" in ended.errors


async def test_damaged_state_is_refused_with_the_way_out(plane: ControlPlaneProcess) -> None:
    await plane.start()
    await plane.stop()
    path = plane.directory / "dbre.db"
    content = bytearray(path.read_bytes())
    content[100:4096] = os.urandom(3996)  # the schema is there
    path.write_bytes(content)
    ended = await refused(plane)
    assert ended.code == ExitCode.FAILED
    assert str(path) in ended.errors
    assert "dbre db backup" in ended.errors
    assert path.read_bytes() == bytes(content)


async def test_state_of_a_newer_dbre_is_refused_and_left_alone(plane: ControlPlaneProcess) -> None:
    await plane.start()
    await plane.stop()
    path = plane.directory / "dbre.db"
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE dbre_schema SET version_num = '9999'")
    connection.close()
    ended = await refused(plane)
    assert ended.code == ExitCode.REFUSED
    assert "has schema 9999; this dbre knows none after" in ended.errors
    assert "use the newer dbre" in ended.errors


MISTAKES = """\
fleet:
  clusters:
    - name: orders
      engin: postgresql
      instances: [{name: orders-1, host: 10.0.0.1, port: 70000}]
    - name: orders
      engine: postgresql
      tls: yes
      instances: []
slos:
  - name: Writes
    selector: {cluster: orders}
    sli: {kind: availabilty}
    target: "100%"
    window: {rolling: 30x}
receivers: [{name: pager, url: "ftp://x", secret: hunter2}]
probe: {interval: 1s, total_timeout: 3s}
server: {port: many}
sever: {}
"""


async def test_every_mistake_of_the_configuration_is_told_at_once_before_anything_is_opened(tmp_path: Path) -> None:
    (tmp_path / "dbre.yaml").write_text(MISTAKES)
    ended = await run(sys.executable, "-m", "dbre", "server", cwd=tmp_path)
    assert ended.code == ExitCode.USAGE
    assert ended.errors.startswith("dbre: the configuration has 15 problems:\n")
    for place in (
        "3:7: fleet.clusters[0].engine is missing",
        "4:7: fleet.clusters[0]: unknown key 'engin' (did you mean engine?)",
        "5:58: fleet.clusters[0].instances[0].port",
        "6:13: fleet.clusters[1].name: cluster orders is already",
        "8:12: unquoted yes",
        "9:18: fleet.clusters[1].instances",
        "11:11: slos[0].name",
        "13:17: slos[0].sli.kind",
        "14:13: slos[0].target",
        "15:23: slos[0].window.rolling",
        "16:32: receivers[0].url",
        "16:51: receivers[0].secret",
        "17:8: probe",
        "18:16: server.port",
        "19:1: unknown key 'sever' (did you mean server?)",
    ):
        assert f"dbre.yaml:{place}" in ended.errors, place
    assert "hunter2" not in ended.errors
    assert sorted(one.name for one in tmp_path.iterdir()) == ["dbre.yaml"]


@pytest.mark.parametrize("command", [("probe", "order"), ("engine", "support", "--cluster", "order")])
async def test_unknown_cluster_names_the_nearest(tmp_path: Path, command: tuple[str, ...]) -> None:
    plane = write_configuration(tmp_path, configuration([unreachable("orders", choose_port())], directory=tmp_path))
    ended = await run(*plane.command(*command), cwd=tmp_path)
    assert ended.code == ExitCode.USAGE
    assert "did you mean orders?" in ended.errors


WITHOUT_DRIVER = """\
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "asyncmy":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
"""


async def test_missing_driver_names_the_extra_and_the_clusters(tmp_path: Path) -> None:
    mysql = unreachable("legacy", choose_port()) | {"engine": "mysql"}
    plane = write_configuration(tmp_path, configuration([unreachable("orders", choose_port()), mysql], directory=tmp_path))
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "sitecustomize.py").write_text(WITHOUT_DRIVER)  # as if it had never been installed
    ended = await refused(plane, PYTHONPATH=str(tmp_path / "lib"))
    assert ended.code == ExitCode.REFUSED
    assert "engine mysql needs the Python package asyncmy" in ended.errors
    assert "legacy" in ended.errors
    assert "pip install 'dbre[mysql]'" in ended.errors
    assert not (tmp_path / "dbre.db").exists()
    listed = await run(*plane.command("fleet", "list"), cwd=tmp_path, PYTHONPATH=str(tmp_path / "lib"))
    assert listed.code == 0  # what needs no driver works without
    assert "legacy" in listed.output


async def test_token_that_cannot_be_read_refuses_the_start(plane: ControlPlaneProcess) -> None:
    ended = await refused(plane, "--set", "server.token=env:DBRE_NO_SUCH_VARIABLE")
    assert ended.code == ExitCode.USAGE
    assert "environment variable DBRE_NO_SUCH_VARIABLE is not set" in ended.errors


async def test_told_to_stop_while_it_still_starts(plane: ControlPlaneProcess) -> None:
    """The store's lock is not there yet, or just taken: it ends with 0 all the same, and leaves nothing locked."""
    for seconds in (0.6, 1.0, 1.4, 1.8):
        with plane.log_file.open("ab") as log:
            child = subprocess.Popen(  # noqa: ASYNC220 - starting it takes milliseconds
                plane.command("server"), cwd=plane.directory, stdout=log, stderr=log
            )
        await asyncio.sleep(seconds)
        child.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(child.wait, 10)
        assert code in (0, -signal.SIGTERM, 143), plane.log_tail()  # before our handler stands, the kernel's holds
    await plane.start()
    assert await plane.stop() == 0


@pytest.mark.slow
async def test_secrets_that_cannot_be_read_are_told_and_stop_nobody_else(
    tmp_path: Path, fresh_postgres: PostgresServer
) -> None:
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nsleep 300\n")
    slow.chmod(0o700)
    port = fresh_postgres.address.port
    missing = unreachable("missing", port) | {"password": "env:DBRE_NO_SUCH_VARIABLE", "user": "x"}
    hanging = unreachable("hanging", port) | {"password": f"exec:{slow}", "user": "x"}
    hanging["instances"] = [{"name": "hanging-1", "host": "127.0.0.2", "port": port}]
    missing["instances"] = [{"name": "missing-1", "host": "127.0.0.3", "port": port}]
    document = configuration([cluster(tmp_path, fresh_postgres), missing, hanging], directory=tmp_path)
    short = tmp_path / "short"
    write_private(short, "short")
    document["receivers"] = [{"name": "pager", "url": "http://127.0.0.1:1/", "secret": f"file:{short}", "allow_loopback": True}]
    document["slos"].append(document["slos"][0] | {"name": "nothing", "selector": {"cluster": "order"}})
    plane = ControlPlaneProcess(tmp_path, document)
    await plane.start()
    try:
        await asyncio.sleep(13)  # the hanging program is given up after ten seconds
        log = plane.log_file.read_text()
        assert "warning: password of cluster missing: environment variable DBRE_NO_SUCH_VARIABLE is not set" in log
        assert "warning: password of cluster hanging: program" in log
        assert "took longer than 10 s" in log
        assert "warning: secret of receiver pager: the webhook secret has 5 bytes" in log
        assert "warning: SLO nothing selects no cluster and measures nothing" in log
        assert "did you mean orders?" in log
        assert "Traceback" not in log
        good = await slo(plane, "orders")
        assert good["bad"] == 0
        assert good["missed"] == 0  # nobody's password held up the event loop
        assert good["good"] >= 8
        for name in ("missing", "hanging"):
            found = await slo(plane, name)
            assert found["total"] == 0, found
            assert found["excluded"] >= 6, found
        listed = await until(lambda: _reasons(plane))
        assert "DBRE_NO_SUCH_VARIABLE" in listed
    finally:
        assert await plane.stop() == 0


async def _reasons(plane: ControlPlaneProcess) -> str:
    return " ".join(str(one["data"].get("reason")) for one in await events(plane, "observe.endpoint_bad"))
