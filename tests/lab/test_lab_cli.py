"""``dbre lab`` as a person types it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dbre.lab.postgres import PostgresServer
from dbre.lab.processes import find_processes


class Shell:
    """Runs ``dbre lab`` with labs below a directory of the test."""

    def __init__(self, environment: dict[str, str], directory: Path) -> None:
        self.environment = environment
        self.directory = directory

    def command(self, *words: str | Path) -> list[str]:
        return [sys.executable, "-m", "dbre", "lab", *(os.fspath(word) for word in words)]

    def run(self, *words: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(self.command(*words), env=self.environment, capture_output=True, text=True, timeout=100)
        assert done.returncode == code, done.stderr
        return done

    def json(self, *words: str | Path) -> dict[str, object]:
        document: dict[str, object] = json.loads(self.run(*words, "-o", "json").stdout)
        return document


@pytest.fixture
def shell(environment: dict[str, str], open_directory: Path) -> Shell:
    return Shell(environment, open_directory)


def test_up_load_status_and_down_in_one_go(shell: Shell, postgres18: PostgresServer) -> None:
    up = shell.run("up", "--name", "orders", "--replicas", "1")
    assert "engine: postgresql" in up.stdout
    assert "# stop: dbre lab down --name orders" in up.stdout
    assert "starting postgresql: a primary and 1 replica" in up.stderr
    listed = shell.json("status")["items"]
    assert [(one["server"], one["role"], one["state"]) for one in listed] == [  # type: ignore[attr-defined]
        ("orders-1", "primary", "running"),
        ("orders-2", "replica", "running"),
    ]
    assert "dbre lab down --name orders" in shell.run("up", "--name", "orders", code=7).stderr
    loaded = shell.json("load", "--name", "orders", "--duration", "1s", "--rate", "40")["item"]
    assert loaded["write"]["succeeded"] == 20  # type: ignore[index]
    assert loaded["ledger"]["lost"] == []  # type: ignore[index]
    directory = shell.directory / "dbre" / "lab" / "orders"
    assert find_processes(directory)
    assert shell.run("down", "--name", "orders").stdout == f"lab 'orders' is gone: {directory}\n"
    assert not find_processes(directory)
    assert not directory.exists()
    assert "nothing to do" in shell.run("down", "--name", "orders").stdout
    assert "no lab is up" in shell.run("status").stdout


def test_the_configuration_that_up_writes_is_one_that_dbre_accepts(shell: Shell, postgres18: PostgresServer) -> None:
    config = shell.json("up", "--name", "orders", "--replicas", "0")["item"]["config_file"]  # type: ignore[index]
    try:
        words = [sys.executable, "-m", "dbre", "-c", config, "config", "validate"]
        done = subprocess.run(words, env=shell.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        words[-2:] = ["probe"]
        done = subprocess.run(words, env=shell.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        shell.run("down", "--name", "orders")


def test_ctrl_c_while_a_lab_goes_up_leaves_nothing(shell: Shell, postgres18: PostgresServer) -> None:
    directory = shell.directory / "dbre" / "lab" / "orders"
    going_up = subprocess.Popen(shell.command("up", "--name", "orders", "--replicas", "4"), env=shell.environment)
    until = time.monotonic() + 60
    while not (directory.exists() and find_processes(directory)) and time.monotonic() < until:
        time.sleep(0.01)
    going_up.send_signal(signal.SIGINT)
    assert going_up.wait(timeout=60) == 130
    assert not directory.exists()
    assert not find_processes(directory)


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.3, 0.6])
def test_ctrl_c_again_and_again_leaves_nothing(seconds: float, shell: Shell, postgres18: PostgresServer) -> None:
    directory = shell.directory / "dbre" / "lab" / "orders"
    going_up = subprocess.Popen(shell.command("up", "--name", "orders", "--replicas", "4"), env=shell.environment)
    until = time.monotonic() + 60
    while not directory.exists() and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(seconds)
    while going_up.poll() is None and time.monotonic() < until:
        going_up.send_signal(signal.SIGINT)
        time.sleep(0.01)
    # The last one may come when Python is all but gone, and then ends it as a signal does; to a shell both are 130.
    assert going_up.returncode in (130, -signal.SIGINT)
    until = time.monotonic() + 30
    while (directory.exists() or find_processes(directory)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not directory.exists()
    assert not find_processes(directory)


def test_a_removal_that_was_cut_short_is_repeated(shell: Shell, postgres18: PostgresServer) -> None:
    shell.run("up", "--name", "orders", "--replicas", "4")
    directory = shell.directory / "dbre" / "lab" / "orders"
    for _ in range(3):
        going_down = subprocess.Popen(shell.command("down", "--name", "orders"), env=shell.environment)
        whole = set(directory.iterdir())
        until = time.monotonic() + 60
        while going_down.poll() is None and set(directory.iterdir()) == whole and time.monotonic() < until:
            time.sleep(0.001)
        going_down.kill()
        going_down.wait()
        if not directory.exists():
            break
    shell.run("down", "--name", "orders")
    assert not directory.exists()


def test_a_lab_whose_builder_was_killed_leaves_nothing_either(shell: Shell, postgres18: PostgresServer) -> None:
    directory = shell.directory / "dbre" / "lab" / "orders"
    going_up = subprocess.Popen(shell.command("up", "--name", "orders", "--replicas", "4"), env=shell.environment)
    until = time.monotonic() + 60
    while not (directory.exists() and find_processes(directory)) and time.monotonic() < until:
        time.sleep(0.01)
    going_up.kill()
    going_up.wait()
    until = time.monotonic() + 30
    while (directory.exists() or find_processes(directory)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not directory.exists()
    assert not find_processes(directory)
    shell.run("down", "--name", "orders")


def test_a_load_on_a_dead_primary_is_one_line(shell: Shell, postgres18: PostgresServer) -> None:
    shell.run("up", "--name", "orders", "--replicas", "1")
    try:
        primary = shell.json("status", "--name", "orders")["items"][0]  # type: ignore[index]
        os.kill(primary["pid"], signal.SIGKILL)
        done = shell.run("load", "--name", "orders", "--duration", "1s", code=6)
        assert done.stderr.count("\n") == 1, done.stderr
        assert "the load cannot begin: Connection refused at 127.0.0.1:" in done.stderr
        assert done.stdout == ""
    finally:
        shell.run("down", "--name", "orders")


def test_ctrl_c_during_a_load_ends_it_with_a_report(shell: Shell, postgres18: PostgresServer) -> None:
    shell.run("up", "--name", "orders", "--replicas", "0")
    try:
        loading = subprocess.Popen(
            shell.command("load", "--name", "orders", "--duration", "60s"),
            env=shell.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert loading.stderr is not None
        assert "second 0: 20 ok" in loading.stderr.readline()
        loading.send_signal(signal.SIGINT)
        stdout, _ = loading.communicate(timeout=30)
        assert loading.returncode == 0
        assert "clients did not suffer" in stdout
        assert " 0 lost;" in stdout
    finally:
        shell.run("down", "--name", "orders")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("up", "--replicas", "-1"), 2, "-1 replicas are not possible: 0 to 8"),
        (("up", "--replicas", "100"), 2, "100 replicas are not possible: 0 to 8"),
        (("up", "--replicas", "x"), 2, "--replicas"),
        (("up", "--engine", "oracle"), 2, "oracle"),
        (("up", "--name", "../../etc"), 2, "cannot name a lab"),
        (("up", "--version", "9"), 5, "no PostgreSQL 9 here"),
        (("up", "--bindir", "/nonexistent"), 5, "/nonexistent lacks postgres, initdb, pg_basebackup"),
        (("up", "--engine", "redis", "--bindir", "/nonexistent"), 5, "apt: redis-server"),
        (("up", "--engine", "redis", "--version", "7"), 2, "for postgresql only"),
        (("up", "--directory", "/proc/nothing"), 2, "/proc/nothing cannot be made"),
        (("status", "--name", "none"), 2, "there is no lab 'none'"),
        (("load", "--name", "none"), 2, "there is no lab 'none'"),
        (("load", "--rate", "0"), 2, "a rate of 0 operations/s is not possible"),
        (("load", "--duration", "soon"), 2, "'soon' is not a duration"),
        (("load", "--clients", "1000"), 2, "1000 connections are not possible"),
        (("down", "--directory", "/usr"), 2, "/usr holds no lab: nothing was removed"),
    ],
)
def test_bad_input_is_one_message_and_its_exit_code(
    words: tuple[str, ...], code: int, said: str, shell: Shell, postgres18: PostgresServer
) -> None:
    done = shell.run(*words, code=code)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not find_processes(shell.directory)
