"""Commands where a control plane is named: answered by it, or refused; never from the empty state store of this machine."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from dbre.core.errors import ExitCode
from dbre.core.identity.tokens import make_token, token_hash
from dbre.demo.control_plane import ControlPlaneProcess
from dbre.lab.free_port import choose_port

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(control_plane: ControlPlaneProcess, tmp_path: Path) -> Iterator[Run]:
    environment = {**os.environ, "DBRE_SERVER": control_plane.url, "DBRE_TOKEN": control_plane.token}
    client = tmp_path / "dbre.yaml"
    client.write_text("{}\n")

    def call(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
        line = control_plane.command(*words)
        line[line.index("--config") + 1] = str(client)
        return subprocess.run(line, env=environment | more, capture_output=True, text=True, cwd=tmp_path, check=False)

    yield call
    assert not (tmp_path / "dbre.db").exists()


def test_the_control_plane_says_who_runs_a_command(run: Run, control_plane: ControlPlaneProcess, tmp_path: Path) -> None:
    there = httpx.get(
        f"{control_plane.url}/api/v1/identity", headers={"Authorization": f"Bearer {control_plane.token}"}, timeout=30
    ).json()
    known = {"name": "ada", "tokens": [{"hash": token_hash(make_token())}], "grants": [{"role": "viewer"}]}
    (tmp_path / "dbre.yaml").write_text(json.dumps({"access": {"principals": [known]}}))
    assert run("identity", "whoami", DBRE_SERVER="").returncode == ExitCode.DENIED  # as this machine's configuration says
    told = run("identity", "whoami", "-o", "json")
    assert told.returncode == 0, told.stderr
    assert {key: json.loads(told.stdout)["item"][key] for key in ("name", "kind")} == {
        key: there[key] for key in ("name", "kind")
    }
    assert run("identity", "whoami", DBRE_TOKEN="wrong").returncode == ExitCode.DENIED
    assert run("identity", "whoami", DBRE_SERVER=f"http://127.0.0.1:{choose_port()}").returncode == ExitCode.UNREACHABLE
    mine = run("op", "list", "--mine", "-o", "json")
    assert mine.returncode == 0, mine.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("schedule", "list"),
        ("gate", "list"),
        ("gate", "held"),
        ("gate", "check", "--cluster", "demo"),
        ("audit", "list"),
        ("worker", "list"),
        ("worker", "zones"),
    ],
)
def test_what_the_api_knows_is_asked_there(run: Run, control_plane: ControlPlaneProcess, words: tuple[str, ...]) -> None:
    there = subprocess.run(
        [*control_plane.command(*words), "-o", "json"], capture_output=True, text=True, check=False, cwd=control_plane.directory
    )
    here = run(*words, "-o", "json")
    assert here.returncode == there.returncode, here.stderr
    if there.stdout:
        assert _stable(here.stdout) == _stable(there.stdout)


def _stable(text: str) -> object:
    document = json.loads(text)
    return document["kind"], [{key: row[key] for key in row if key not in _MOVING} for row in document["items"]]


_MOVING = {"heartbeat_at", "running_count"}


@pytest.mark.parametrize(
    "words",
    [
        ("fleet", "list"),
        ("slo", "list"),
        ("settings", "show", "demo"),
        ("events", "list"),
        ("schedule", "show", "nightly"),
        ("identity", "list"),
        ("identity", "check", "ada", "--permission", "read"),
        ("audit", "verify"),
        ("probe", "once"),
    ],
)
def test_the_rest_is_refused_rather_than_answered_from_this_machine(run: Run, words: tuple[str, ...]) -> None:
    refused = run(*words)
    assert refused.returncode == ExitCode.USAGE
    assert f"dbre {words[0]}" in refused.stderr, refused.stderr
    assert "of this machine, and DBRE_SERVER names a control plane" in refused.stderr
    assert "unset DBRE_SERVER" in refused.stderr


def test_client_url_does_the_same_as_the_variable(run: Run, control_plane: ControlPlaneProcess, tmp_path: Path) -> None:
    (tmp_path / "dbre.yaml").write_text(json.dumps({"client": {"url": control_plane.url}}))
    assert run("op", "list", DBRE_SERVER="").returncode == 0
    refused = run("fleet", "list", DBRE_SERVER="")
    assert (refused.returncode, "client.url" in refused.stderr) == (ExitCode.USAGE, True)


def test_commands_about_this_machine_stay(run: Run) -> None:
    assert run("config", "show").returncode == 0
    assert run("version").returncode == 0
    assert run("engine", "list").returncode == 0


def test_an_unknown_schedule_is_the_control_planes_answer(run: Run) -> None:
    assert run("schedule", "suspend", "nightly").returncode == ExitCode.USAGE
    assert "no schedule is named" in run("schedule", "run-now", "nightly").stderr
