"""dbre worker as a program that is told to stop, and the commands that list workers and steer schedules."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import acting_app
import pytest

from dbre import assembly
from dbre.cli import commands

APP = Path(acting_app.__file__)
SCHEDULES = """
schedules:
  - {name: nightly, cron: "30 2 * * *", time_zone: Europe/Madrid, kind: trial.set, input: {file: FILE, value: 5}, zone: dmz}
  - {name: never, cron: "@yearly", kind: trial.set, input: {file: FILE, value: 6}, enabled: false}
"""


class Place:
    """A configuration in a directory, the program in this process, and workers as processes."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory, self.capsys, self.file = directory, capsys, directory / "number"
        self.workers: list[subprocess.Popen[str]] = []

    def configure(self, text: str = "") -> None:
        text = 'state: {url: "sqlite:///dbre.db"}\n' + text.replace("FILE", str(self.file))
        (self.directory / "dbre.yaml").write_text(text)

    def run(self, *words: str) -> tuple[int, str, str]:
        self.capsys.readouterr()
        code = acting_app.main(["--config", str(self.directory / "dbre.yaml"), *words])
        shown = self.capsys.readouterr()
        return code, shown.out, shown.err

    def items(self, *words: str) -> list[dict[str, object]]:
        code, out, err = self.run(*words, "-o", "json")
        assert code == 0, err
        return list(json.loads(out)["items"])

    def worker(self, *words: str) -> subprocess.Popen[str]:
        line = [sys.executable, str(APP), "--config", str(self.directory / "dbre.yaml"), "worker", *words]
        one = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.workers.append(one)
        return one

    def submit(self, *words: str) -> str:
        code, out, err = self.run("trial", "set", str(self.file), "7", "--no-wait", "-o", "json", *words)
        assert code == 0, err
        return str(json.loads(out)["item"]["id"])

    def operation(self, name: str) -> dict[str, object]:
        code, out, err = self.run("op", "show", name, "-o", "json")
        assert code == 0, err
        return dict(json.loads(out)["item"])


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setitem(commands.COMMANDS, "trial", commands.COMMANDS["op"])
    monkeypatch.setattr(assembly, "kinds_of", assembly.kinds_of)
    monkeypatch.delenv("DBRE_SERVER", raising=False)
    acting_app.install()
    one = Place(tmp_path, capsys)
    one.configure()
    yield one
    for worker in one.workers:
        worker.kill()
        worker.communicate()


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.1)


def stopped(worker: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    worker.send_signal(number)
    _, err = worker.communicate(timeout=40)
    return worker.returncode, err


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_told_to_stop_lets_a_step_end(place: Place, number: signal.Signals) -> None:
    name = place.submit("--seconds", "4")
    worker = place.worker()
    until(lambda: place.operation(name)["state"] == "running")
    code, err = stopped(worker, number)
    assert code == 0, err
    assert "Traceback" not in err
    assert (place.operation(name)["state"], place.operation(name)["attempt"]) == ("succeeded", 1)
    assert place.items("worker", "list", "--all") == []


@pytest.mark.slow
def test_after_the_grace_another_worker_goes_on_at_once_and_nothing_is_undone(place: Place) -> None:
    place.configure("operations: {grace: 1s}\n")
    name = place.submit("--seconds", "12")
    first = place.worker()
    until(lambda: place.operation(name)["state"] == "running")
    code, err = stopped(first, signal.SIGTERM)
    assert code == 0, err
    left = place.operation(name)
    assert (left["state"], left["owner"], place.file.read_text()) == ("running", None, "7")
    place.worker()
    until(lambda: place.operation(name)["attempt"] == 2, seconds=15)  # less than a lease


@pytest.mark.slow
def test_a_worker_of_a_zone_leaves_operations_of_others_alone(place: Place) -> None:
    none, dmz = place.submit(), place.submit("--zone", "dmz")
    place.worker("--zone", "dmz", "--concurrency", "2")
    until(lambda: place.operation(dmz)["state"] == "succeeded")
    time.sleep(1.5)
    assert place.operation(none)["state"] == "queued"
    (row,) = place.items("worker", "list")
    assert (row["zone"], row["state"]) == ("dmz", "alive")
    code, out, err = place.run("worker", "zones", "-o", "json")
    assert code == 0
    counts = {one["zone"]: (one["live_workers"], one["queued_count"]) for one in json.loads(out)["items"]}
    assert counts == {None: (0, 1), "dmz": (1, 0)}
    assert "1 operations wait in the zone without name, where no worker lives" in err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("operations: {dispatch: celery}", "celery needs operations.broker"),
        ("operations: {dispatch: kafka}", "expected one of local, celery"),
        ("operations: {renewal: 20s}", "more than half of the lease"),
        ("operations: {concurrency: 0}", "concurrency"),
        ("operations: {broker: {url: 'amqp://u:hunter2@mq/'}}", "a password does not belong"),
        ("operations: {broker: {url: 'ampq://mq/'}}", "did you mean amqp?"),
        ("operations: {broker: {url: 'redis://'}}", "the host is missing"),
        ("operations: {broker: {url: 'redis://h:99999/0'}}", "not a URL"),
        ("operations: {broker: {url: 'redis://h/0?a=b'}}", "nothing may follow the path"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused_before_anything_starts(place: Place, text: str, told: str) -> None:
    place.configure(text + "\n")
    code, _, err = place.run("worker", "list")
    assert (code, told in err) == (2, True), err
    assert "hunter2" not in err


def test_schedules_are_listed_suspended_and_run_now(place: Place) -> None:
    place.configure(SCHEDULES)
    listed = {one["name"]: one for one in place.items("schedule", "list")}
    assert {name: one["state"] for name, one in listed.items()} == {"nightly": "enabled", "never": "disabled"}
    assert listed["never"]["next_at"] is None
    slots = place.items("schedule", "show", "nightly", "--next", "3")
    assert len(slots) == 3
    assert all(" 02:30 CE" in str(one["local"]) or " 03:30 CE" in str(one["local"]) for one in slots)
    code, out, _ = place.run("schedule", "run-now", "nightly", "-o", "json")
    assert code == 0
    submitted = place.operation(str(json.loads(out)["item"]["operation_id"]))
    assert (submitted["zone"], submitted["reason"]) == ("dmz", "schedule nightly, run now")
    for verb, status, state in (
        ("suspend", "suspended", "suspended"),
        ("suspend", "already_suspended", "suspended"),
        ("resume", "resumed", "enabled"),
    ):
        code, out, err = place.run("schedule", verb, "nightly", "-o", "json")
        assert (code, json.loads(out)["item"]["status"]) == (0, status), err
        assert {one["name"]: one["state"] for one in place.items("schedule", "list")}["nightly"] == state
    code, _, err = place.run("schedule", "run-now", "nightli")
    assert (code, "did you mean nightly?" in err) == (2, True)
