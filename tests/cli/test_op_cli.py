"""Acting from the command line: what is asked, what is shown, and the exit code of each end; on both stores."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import acting_app
import pytest

from dbre import assembly
from dbre.cli import commands
from dbre.core.errors import ExitCode
from dbre.core.text import HIDDEN
from dbre.lab.postgres import PostgresServer

APP = str(Path(acting_app.__file__))


@dataclass
class Desk:
    """One place with a configuration, a store and a number in a file."""

    directory: Path
    capsys: pytest.CaptureFixture[str]

    @property
    def configuration(self) -> Path:
        return self.directory / "dbre.yaml"

    @property
    def file(self) -> Path:
        return self.directory / "number"

    @property
    def number(self) -> object:
        return json.loads(self.file.read_text()) if self.file.exists() else None

    def run(self, *words: str) -> tuple[int, str, str]:
        self.capsys.readouterr()
        code = acting_app.main(["--config", str(self.configuration), *words])
        shown = self.capsys.readouterr()
        assert not HIDDEN.search(shown.out.replace("\n", "")), shown.out
        assert not HIDDEN.search(shown.err.replace("\n", "")), shown.err
        return code, shown.out, shown.err

    def set(self, *words: str) -> tuple[int, str, str]:
        return self.run("trial", "set", str(self.file), *words)

    def start(self, *words: str, **more: object) -> subprocess.Popen[str]:
        line = [sys.executable, APP, "--config", str(self.configuration), *words]
        given = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | more
        return subprocess.Popen(line, text=True, **given)  # type: ignore[call-overload,no-any-return]

    def newest(self) -> dict[str, object]:
        code, out, _ = self.run("op", "list", "-o", "json")
        assert code == 0
        return dict(json.loads(out)["items"][0])


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setitem(commands.COMMANDS, "trial", commands.COMMANDS["op"])
    monkeypatch.setattr(assembly, "kinds_of", assembly.kinds_of)
    acting_app.install()
    monkeypatch.delenv("DBRE_SERVER", raising=False)
    (tmp_path / "dbre.yaml").write_text('state: {url: "sqlite:///dbre.db"}\n')
    return Desk(tmp_path, capsys)


@pytest.fixture(params=["sqlite", "postgresql"])
def stored(request: pytest.FixtureRequest, desk: Desk) -> Iterator[Desk]:
    """The same on each kind of store."""
    if request.param == "sqlite":
        yield desk
        return
    server: PostgresServer = request.getfixturevalue("postgres15")
    name = f"op_cli_{os.getpid()}_{time.monotonic_ns()}"
    _sql(server, f"CREATE DATABASE {name}")
    password = desk.directory / "password"
    password.write_text(server.password.reveal())
    password.chmod(0o600)
    url = f"postgresql://{server.superuser}@{server.address}/{name}"
    desk.configuration.write_text(f'state: {{url: "{url}", password: "file:{password}"}}\n')
    yield desk
    _sql(server, f"DROP DATABASE {name} WITH (FORCE)")


def _sql(server: PostgresServer, statement: str) -> None:
    import psycopg

    address = server.address
    with psycopg.connect(
        host=address.host,
        port=address.port,
        user=server.superuser,
        password=server.password.reveal(),
        dbname="postgres",
        autocommit=True,
    ) as connection:
        connection.execute(statement)  # type: ignore[call-overload]


def test_a_mild_act_is_done_at_once_though_nothing_was_set_up(stored: Desk) -> None:
    code, out, err = stored.set("7", "--reason", "try\x1b[2J it")
    assert (code, stored.number) == (0, 7)
    assert re.search(r"operation \S+: succeeded", out)
    assert "was created" in err
    assert err.index("plan of trial.set") < err.index("put done") < err.index("succeeded")
    code, out, _ = stored.run("op", "list", "--mine", "-o", "jsonl")
    item = json.loads(out)
    assert (code, item["operation"], item["state"], item["reason"]) == (0, "trial.set", "succeeded", "try\x1b[2J it")
    code, out, _ = stored.run("op", "show", item["id"][-12:])
    assert code == 0
    assert "✓ put: done" in out
    assert "✓ number: seen" in out


def test_a_moderate_act_is_not_done_unless_somebody_says_yes(desk: Desk) -> None:
    code, out, err = desk.set("7", "--risk", "moderate")
    assert (code, out, desk.number) == (ExitCode.USAGE, "", None)
    assert "hint: --yes, or --plan-hash" in err
    assert "plan of trial.set" in err
    assert desk.set("7", "--risk", "moderate", "--plan-hash", "0" * 64)[0] == ExitCode.CONFLICT
    plan = json.loads(desk.set("7", "--risk", "moderate", "--dry-run", "-o", "json")[1])
    assert desk.set("7", "--risk", "moderate", "--plan-hash", plan["plan_hash"])[0] == 0
    assert desk.set("8", "--risk", "moderate", "--yes")[0] == 0
    assert desk.number == 8


def test_a_severe_act_needs_the_name_and_yes_is_not_enough(desk: Desk) -> None:
    for words in ([], ["--yes"], ["--confirm", "numbers"]):
        code, _, err = desk.set("7", "--risk", "severe", *words)
        assert (code, desk.number) == (ExitCode.USAGE, None)
        assert "--confirm number" in err
    assert desk.set("7", "--risk", "severe", "--confirm", "number")[0] == 0
    assert desk.number == 7


def test_a_dry_run_writes_nothing_and_its_plan_is_run_exactly_or_not_at_all(stored: Desk) -> None:
    code, out, _ = stored.set("7", "--risk", "moderate", "--dry-run", "-o", "json")
    plan = json.loads(out)
    assert (code, plan["kind"], plan["observed"], stored.number) == (0, "Plan", {"value": 0}, None)
    assert json.loads(stored.run("op", "list", "-o", "json")[1])["items"] == []
    file = stored.directory / "plan.json"
    file.write_text(out)
    assert stored.run("op", "submit", str(file))[0] == ExitCode.USAGE
    assert stored.run("op", "submit", str(file), "--yes")[0] == 0
    assert stored.number == 7
    code, _, err = stored.run("op", "submit", str(file), "--yes")
    assert code == ExitCode.CONFLICT
    assert "observed.value: 0 -> 7" in err
    file.write_text(json.dumps(plan | {"summary": "something else"}))
    code, _, err = stored.run("op", "submit", str(file), "--yes")
    assert code == ExitCode.USAGE
    assert "was changed after it was made" in err


def test_each_end_has_its_exit_code(stored: Desk) -> None:
    code, out, err = stored.set("7", "--trouble", "fail")
    assert (code, stored.number) == (ExitCode.COMPENSATED, 0)
    assert "↩ put: undone" in out
    assert "the number is cursed" in err
    code, out, err = stored.set("7", "--trouble", "fail", "-o", "json")
    document = json.loads(out)
    assert (code, document["partial"], document["item"]["state"]) == (ExitCode.COMPENSATED, True, "compensated")
    assert stored.set("7", "--trouble", "unverified")[0] == ExitCode.COMPENSATED
    assert stored.run("op", "list", "-o", "nagios")[0] == 0
    code, out, _ = stored.set("7", "--trouble", "unknown")
    assert code == ExitCode.NEEDS_OPERATOR
    assert "dbre op resolve" in out
    code, out, _ = stored.run("op", "list", "-o", "nagios")
    assert code == 2
    assert out.startswith("OperationList CRITICAL - 1 operation")
    name = str(stored.newest()["id"])
    assert stored.run("op", "resolve", name, "done", "--reason", "looked")[0] == 0
    code, out, err = stored.run("op", "watch", name, "--timeout", "1s")
    assert code == ExitCode.PENDING
    assert "no worker lives" in err
    assert stored.run("op", "watch", name, "--run")[0] == 0


def test_what_a_gate_refuses_ends_with_five_and_an_override_is_recorded(desk: Desk) -> None:
    desk.configuration.write_text(
        'state: {url: "sqlite:///dbre.db"}\n'
        "gates:\n  freeze_windows:\n"
        '    - {name: always, when: {from: "2020-01-01 00:00", until: "2099-01-01 00:00"}, time_zone: UTC, verdict: refuse}\n'
    )
    code, _, err = desk.set("7")
    assert (code, desk.number) == (ExitCode.REFUSED, None), err
    assert "--override freeze-window" in err
    assert desk.set("7", "--override", "freeze-window")[0] == ExitCode.USAGE
    assert desk.set("7", "--override", "freeze-window", "--reason", "it burns", "--ticket", "T-1")[0] == 0
    assert "freeze-window by " in desk.run("op", "show", str(desk.newest()["id"]))[1]


def test_no_wait_leaves_it_to_others_and_a_key_finds_it_again(desk: Desk) -> None:
    code, out, err = desk.set("7", "--no-wait", "--idempotency-key", "night-1", "-o", "json")
    first = json.loads(out)["item"]
    assert (code, first["state"], desk.number) == (0, "queued", None)
    assert "no worker lives" in err
    assert desk.set("8", "--no-wait", "--fail-pending")[0] == ExitCode.PENDING
    assert desk.run("op", "cancel", first["id"], "--reason", "no")[0] == 0
    code, out, _ = desk.set("7", "--idempotency-key", "night-1", "-o", "json")
    assert (code, json.loads(out)["item"]["id"]) == (ExitCode.REFUSED, first["id"])
    assert desk.set("9", "--idempotency-key", "night-1")[0] == ExitCode.CONFLICT
    assert desk.run("op", "watch", first["id"])[0] == ExitCode.REFUSED
    code, out, _ = desk.run("op", "retry", first["id"], "-o", "json")
    again = json.loads(out)["item"]
    assert (code, desk.number, again["reason"]) == (0, 7, f"retry of {first['id']}")
    assert desk.run("op", "retry", again["id"])[0] == ExitCode.REFUSED
    assert desk.run("op", "retry", first["id"])[0] == ExitCode.CONFLICT


def test_steering_before_the_start(desk: Desk) -> None:
    desk.set("7", "--no-wait")
    name = str(desk.newest()["id"])
    assert desk.run("op", "set", name, "pause=0.5")[0] == 0
    assert desk.run("op", "pause", name, "--reason", "lunch\x1b[2J")[0] == 0
    code, out, _ = desk.run("op", "list", "--state", "open")
    assert code == 0
    assert "paused by" in out
    assert desk.run("op", "resume", name)[0] == 0
    assert desk.run("op", "override", name, "freeze-window", "--reason", "x")[0] == 0
    assert desk.run("op", "approve", name)[0] == ExitCode.DENIED
    assert desk.run("op", "watch", name, "--run")[0] == 0
    assert desk.number == 7


@pytest.mark.parametrize(
    "words",
    [
        ["op", "show", "nothing"],
        ["op", "show", "ffffffff"],
        ["op", "watch", "0"],
        ["op", "approve", "ffffffff-0000"],
        ["op", "pause", "\x1b[2J"],
        ["op", "resume", "ffffffff"],
        ["op", "cancel", "ffffffff"],
        ["op", "retry", "ffffffff"],
        ["op", "resolve", "ffffffff", "maybe", "--reason", "x"],
        ["op", "resolve", "ffffffff", "done"],
        ["op", "set", "ffffffff", "pause"],
        ["op", "set", "ffffffff", "a=1", "a=2"],
        ["op", "override", "ffffffff", "mood"],
        ["op", "evidence", "ffffffff"],
        ["op", "list", "--state", "runing"],
        ["op", "list", "--limit", "0"],
        ["op", "submit", "/nowhere/plan.json"],
        ["op", "submit", "/dev/null"],
        ["trial", "set", "x", "7", "--deadline", "2027-01-01T00:00:00"],
        ["trial", "set", "x", "7", "--not-before", "soon"],
        ["trial", "set", "x", "7", "--timeout", "0s"],
        ["trial", "set", "x", "7", "--fail-pending"],
        ["trial", "set", "x", "7", "--ticket", "T-1"],
        ["trial", "set", "x", "7", "--priority", "10"],
        ["trial", "set", "x", "7", "--risk", "none"],
        ["trial", "set", "x", "7", "--watch", "2s"],
        ["trial", "get", "x", "--yes"],
    ],
)
def test_bad_words_are_a_usage_error_and_leave_nothing(desk: Desk, words: list[str]) -> None:
    code, out, err = desk.run(*words)
    assert (code, out) == (ExitCode.USAGE, ""), err
    assert err


def test_a_time_limit_ends_with_eight_and_another_process_goes_on(stored: Desk) -> None:
    code, _, err = stored.set("7", "--seconds", "2", "--timeout", "700ms")
    assert code == ExitCode.PENDING
    assert "dbre op watch" in err
    name = str(stored.newest()["id"])
    code, out, _ = stored.run("op", "watch", name, "--run", "-o", "jsonl")
    assert (code, stored.number) == (0, 7)
    lines = [json.loads(line) for line in out.splitlines()]
    assert [lines[0]["event"], lines[-2]["event"], lines[-1]["state"]] == ["state", "state", "succeeded"]


def _until(read: Callable[[], str], wanted: str) -> str:
    seen = ""
    while wanted not in seen:
        line = read()
        assert line, seen
        seen += line
    return seen


def test_the_second_interrupt_cancels_and_waits_for_the_undo(desk: Desk) -> None:
    process = desk.start("trial", "set", str(desk.file), "7", "--seconds", "30")
    assert process.stderr is not None
    _until(process.stderr.readline, "rest started")
    process.send_signal(signal.SIGINT)
    _until(process.stderr.readline, "Ctrl-C once more cancels it")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == ExitCode.COMPENSATED, err
    assert desk.number == 0


def test_a_cancel_from_elsewhere_knows_that_a_command_runs_it(desk: Desk) -> None:
    process = desk.start("trial", "set", str(desk.file), "7", "--seconds", "30")
    assert process.stderr is not None
    _until(process.stderr.readline, "rest started")
    code, out, err = desk.run("op", "cancel", str(desk.newest()["id"]), "--reason", "wrong number")
    assert code == 0
    assert "the process that runs it is told" in out + err
    assert "no worker lives" not in out + err
    _, err = process.communicate(timeout=60)
    assert (process.returncode, desk.number) == (ExitCode.COMPENSATED, 0), err


def test_an_operation_that_a_command_ran_itself_is_signed_in_the_audit_log(desk: Desk) -> None:
    assert desk.set("7")[0] == 0
    code, out, err = desk.run("audit", "verify")
    assert code == 0, out + err
    assert "; 0 entries not signed" in out + err


def test_an_audit_log_that_cannot_be_signed_is_told_and_fails_no_operation(desk: Desk) -> None:
    with desk.configuration.open("a") as file:
        file.write(f'audit: {{key: "file:{desk.directory / "nowhere"}"}}\n')
    code, _, err = desk.set("7")
    assert (code, desk.number) == (0, 7)
    assert "warning: the audit log was not signed" in err


def test_flags_that_cannot_be_right_are_refused_before_anything_is_planned(desk: Desk) -> None:
    code, _, err = desk.set("7", "--deadline", "2020-01-01T00:00:00Z", "--dry-run")
    assert (code, "has passed" in err, "hint: " in err) == (ExitCode.USAGE, True, True)
    code, _, err = desk.set("7", "--override", "target-lock", "--reason", "now")
    assert (code, "dbre gate held" in err) == (ExitCode.REFUSED, True)
    assert not (desk.directory / "dbre.db").exists()


def test_an_interrupt_leaves_an_operation_that_others_run(desk: Desk) -> None:
    desk.set("7", "--no-wait")
    process = desk.start("op", "watch", str(desk.newest()["id"]))
    assert process.stderr is not None
    _until(process.stderr.readline, "no worker lives")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == ExitCode.INTERRUPTED
    assert "dbre op cancel" in err
    assert desk.newest()["state"] == "queued"


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 5), ("\n", 5)])
def test_a_person_at_a_terminal_is_asked(desk: Desk, answer: str, code: int) -> None:
    assert _at_terminal(desk, answer, "act? [y/N]", "--risk", "moderate") == code
    assert desk.number == (7 if code == 0 else None)


@pytest.mark.parametrize(("answer", "code"), [("number\n", 0), ("y\n", 2)])
def test_a_person_at_a_terminal_types_the_name(desk: Desk, answer: str, code: int) -> None:
    assert _at_terminal(desk, answer, "type number to act", "--risk", "severe") == code
    assert desk.number == (7 if code == 0 else None)


def _at_terminal(desk: Desk, answer: str, question: str, *words: str) -> int:
    ours, theirs = pty.openpty()
    process = desk.start("trial", "set", str(desk.file), "7", *words, stdin=theirs, stderr=theirs)
    os.close(theirs)
    _until(lambda: os.read(ours, 4096).decode(), question)
    os.write(ours, answer.encode())
    while process.poll() is None:
        try:
            os.read(ours, 4096)
        except OSError:
            process.wait(timeout=20)
    os.close(ours)
    assert process.stdout is not None
    process.stdout.close()
    return process.returncode
