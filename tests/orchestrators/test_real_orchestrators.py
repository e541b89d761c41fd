"""Exported files in real Airflow and Prefect, against dbre's store, desk and runner: whatever dies, each run acts once."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from orchestrator_kit import request
from small_plane import TOKEN

from dbre.core.operation.orchestrators import Orchestrator, render
from dbre.lab.free_port import choose_port

ROOT = Path(__file__).parents[2]
PLACES = ROOT / ".uv/orchestrators"
AIRFLOWS = ("airflow3", "airflow2")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.environ.get("DBRE_ORCHESTRATORS") != "1", reason="Airflow and Prefect: make test-orchestrators"),
]


def eventually(condition: Callable[[], Any], *, seconds: float = 120.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)
    return found


class Plane:
    """The control plane in a process of its own; what its operations did is in files beside its store."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = choose_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        (self.directory / "pid").unlink(missing_ok=True)
        program = Path(__file__).with_name("small_plane.py")
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen([sys.executable, program, self.directory, str(self.port)], stdout=log, stderr=log)
        eventually((self.directory / "pid").exists)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def effects(self, name: str) -> list[str]:
        """``counted ID`` and ``uncounted ID``, in their order."""
        path = self.directory / name
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    directory = tmp_path / "plane"
    directory.mkdir()
    plane = Plane(directory)
    plane.start()
    yield plane
    plane.kill()


class Orchestrated:
    """One orchestrator with one exported file."""

    def __init__(self, place: str, home: Path, plane: Plane) -> None:
        self.place, self.home, self.plane = place, home, plane
        self.python = PLACES / place / "bin/python"
        if not self.python.exists():
            pytest.fail(f"{place} is not installed: make test-orchestrators")
        (home / "dags").mkdir(parents=True)
        self.environment = {
            "PATH": f"{self.python.parent}:{os.environ['PATH']}",
            "HOME": str(home),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "PREFECT_HOME": str(home),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "DBRE_TOKEN": TOKEN,
        }

    def export(self, name: str, **more: Any) -> Path:
        kind = Orchestrator.PREFECT if self.place == "prefect" else Orchestrator.AIRFLOW
        body = {"kind": "test.count", "input": {"name": name, **more}, "reason": 'it\'s "nightly"'}
        path = self.home / "dags" / f"{name}.py"
        path.write_text(render(kind, request(name=f"dbre-{name}", url=self.plane.url, request=body), version="1.0"))
        return path

    def start(self, *command: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(one) for one in command], env=self.environment, cwd=self.home, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *command: str | Path, code: int | None = 0) -> str:
        process = self.start(*command)
        output, _ = process.communicate(timeout=240)
        assert code is None or process.returncode == code, output[-5000:]
        return output


@pytest.fixture
def orchestrated(plane: Plane, tmp_path: Path) -> Callable[[str], Orchestrated]:
    return lambda place: Orchestrated(place, tmp_path / place, plane)


def airflow_test(name: str, day: str) -> Sequence[str]:
    return ("airflow", "dags", "test", f"dbre-{name}", day)


@pytest.mark.parametrize("place", AIRFLOWS)
def test_airflow_runs_the_operation_once_a_logical_date(place: str, orchestrated: Callable[[str], Orchestrated]) -> None:
    here = orchestrated(place)
    here.run("airflow", "db", "migrate")
    here.export("once", seconds=1)
    here.export("broken", fails=True)
    dags = json.loads(here.run("airflow", "dags", "list-import-errors", "-o", "json").splitlines()[-1])
    assert dags == []

    output = here.run(*airflow_test("once", "2026-11-20"))
    assert "succeeded" in output
    assert TOKEN not in output
    here.run(*airflow_test("once", "2026-11-20"))  # cleared, or tried again
    assert len(here.plane.effects("once")) == 1
    here.run(*airflow_test("once", "2026-11-21"))
    assert len(here.plane.effects("once")) == 2

    failed = here.run(*airflow_test("broken", "2026-11-20"), code=None)
    assert "is compensated" in failed
    assert "dbre op show" in failed
    assert [one.split()[0] for one in here.plane.effects("broken")] == ["counted", "uncounted"]


@pytest.mark.parametrize("place", AIRFLOWS)
def test_a_killed_airflow_task_finds_its_operation_again(place: str, orchestrated: Callable[[str], Orchestrated]) -> None:
    here = orchestrated(place)
    here.run("airflow", "db", "migrate")
    here.export("killed", seconds=15)
    first = here.start(*airflow_test("killed", "2026-11-20"))
    eventually(lambda: here.plane.effects("killed"))
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    second = here.start(*airflow_test("killed", "2026-11-20"))
    time.sleep(5)
    here.plane.kill()  # and the control plane with it
    time.sleep(2)
    here.plane.start()
    output, _ = second.communicate(timeout=240)
    assert second.returncode == 0, output[-5000:]
    assert "succeeded" in output
    assert len(here.plane.effects("killed")) == 1


ON_KILL = """
import runpy, sys, threading, time
sys.path.insert(0, "dags")
import stopped
from types import SimpleNamespace
task = stopped.dag.get_task("operation")
threading.Timer(4, task.on_kill).start()
try:
    task.execute({"dag_run": SimpleNamespace(run_id="manual"), "logical_date": None})
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("place", AIRFLOWS)
def test_a_stopped_airflow_task_cancels_its_operation(place: str, orchestrated: Callable[[str], Orchestrated]) -> None:
    here = orchestrated(place)
    here.run("airflow", "db", "migrate")
    here.export("stopped", seconds=50)
    output = here.run(here.python, "-c", ON_KILL)
    assert "AirflowFailException" in output
    eventually(lambda: [one.split()[0] for one in here.plane.effects("stopped")] == ["counted", "uncounted"])


def test_prefect_runs_the_operation_once_a_flow_run(orchestrated: Callable[[str], Orchestrated]) -> None:
    here = orchestrated("prefect")
    output = here.run(here.python, here.export("once", seconds=1))
    assert "succeeded" in output
    assert "Completed" in output
    assert TOKEN not in output
    assert len(here.plane.effects("once")) == 1
    here.run(here.python, here.home / "dags/once.py")  # another flow run
    assert len(here.plane.effects("once")) == 2

    failed = here.run(here.python, here.export("broken", fails=True), code=1)
    assert "is compensated" in failed
    assert "AwaitingRetry" not in failed
    assert [one.split()[0] for one in here.plane.effects("broken")] == ["counted", "uncounted"]


RETRIED = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("flow", sys.argv[1])
module = importlib.util.module_from_spec(spec)
sys.modules["flow"] = module
spec.loader.exec_module(module)
follow, tries = module.Dbre.follow, []
def interrupted(self, operation, is_stopped):
    tries.append(operation)
    if len(tries) == 1:
        raise module.Unreachable("the network is away")
    return follow(self, operation, is_stopped)
module.Dbre.follow = interrupted
module.operation.with_options(retries=1, retry_delay_seconds=1)()
print("tries", len(tries), "operations", len(set(tries)))
"""


def test_a_prefect_flow_that_is_tried_again_finds_its_operation(orchestrated: Callable[[str], Orchestrated]) -> None:
    here = orchestrated("prefect")
    output = here.run(here.python, "-c", RETRIED, here.export("again", seconds=2))
    assert "tries 2 operations 1" in output
    assert len(here.plane.effects("again")) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_prefect_flow_cancels_its_operation(
    number: signal.Signals, orchestrated: Callable[[str], Orchestrated]
) -> None:
    here = orchestrated("prefect")
    process = here.start(here.python, here.export("stopped", seconds=50))
    eventually(lambda: here.plane.effects("stopped"))
    time.sleep(1)
    process.send_signal(number)
    assert process.wait(timeout=60) != 0  # without its output: Prefect's temporary server may outlive it and hold the pipe
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    eventually(lambda: [one.split()[0] for one in here.plane.effects("stopped")] == ["counted", "uncounted"])
