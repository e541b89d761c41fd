import asyncio
import json
import os
import pickle
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dbre.core import secret_sources, secrets
from dbre.core.errors import UsageError
from dbre.core.secrets import Secret, SecretReference, SecretUnavailable, prepare_secrets


def test_a_secret_is_never_printed_written_or_pickled() -> None:
    secret = Secret("hunter2")
    for shown in (str(secret), repr(secret), f"{secret}", f"{secret:>5}", "{}".format(*[secret]), f"{[secret]}"):
        assert "hunter2" not in shown
        assert "***" in shown
    for write in (pickle.dumps, json.dumps):
        with pytest.raises(TypeError):
            write(secret)
    assert secret == Secret("hunter2")
    assert secret != Secret("hunter3")
    assert secret != "hunter2"
    assert secret.reveal() == "hunter2"


@pytest.mark.parametrize(
    "text",
    [
        "hunter2",
        "",
        ":",
        "env:",
        "env:1A",
        "env:A-B",
        "file:",
        "exec:",
        "exec:'hunter2",
        "vault:hunter2",
        "ENV:A",
        "file:a\nhunter2",
    ],
)
def test_what_is_no_reference_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        SecretReference.parse(text)
    assert "hunter2" not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"


@pytest.mark.parametrize("text", ["env:A_1", "file:/run/secrets/a", "file:secrets/b c", "exec:vault kv get 'a b'"])
def test_a_reference_is_shown_as_it_was_written(text: str) -> None:
    assert str(SecretReference.parse(text)) == text


def test_variables_are_read_when_revealed(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = SecretReference.parse("env:DBRE_TEST_SECRET").secret()
    with pytest.raises(SecretUnavailable, match=r"environment variable DBRE_TEST_SECRET is not set") as caught:
        secret.reveal()
    assert caught.value.exit_code == 2
    monkeypatch.setenv("DBRE_TEST_SECRET", "one\n")
    assert secret.reveal() == "one"
    monkeypatch.setenv("DBRE_TEST_SECRET", "two")
    assert secret.reveal() == "two"
    monkeypatch.setenv("DBRE_TEST_SECRET", "")
    with pytest.raises(SecretUnavailable, match="gives an empty secret"):
        secret.reveal()
    assert str(secret) == "***"


def file_secret(path: Path) -> SecretReference:
    return SecretReference.parse(f"file:{path}")


async def test_files_are_read_without_their_trailing_newline(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b" p\xc3\xa4ss word \r\n")
    path.chmod(0o600)
    assert (await file_secret(path).resolve()).reveal() == " päss word "
    assert (await SecretReference.parse("file:secret").resolve(tmp_path)).reveal() == " päss word "
    (tmp_path / "link").symlink_to(path)
    assert (await file_secret(tmp_path / "link").resolve()).reveal() == " päss word "
    secret = file_secret(path).secret()
    path.write_text("rotated\n")
    assert secret.reveal() == "rotated"


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o601, 0o660, 0o777])
def test_a_file_open_to_others_is_refused_with_the_command_that_closes_it(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a secret"
    path.write_text("hunter2")
    path.chmod(mode)
    with pytest.raises(SecretUnavailable, match=rf"is open to others: mode {mode:04o}, limit 0640") as caught:
        file_secret(path).fetch()
    hint = caught.value.hint or ""
    assert hint == f"run: chmod g-w,o= {shlex.quote(str(path))}"
    subprocess.run(shlex.split(hint.removeprefix("run: ")), check=True, timeout=10)
    assert file_secret(path).fetch() == "hunter2"


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o640, 0o440])
def test_a_file_may_be_read_by_its_group(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secret"
    path.write_text("hunter2")
    path.chmod(mode)
    assert file_secret(path).fetch() == "hunter2"


def test_files_that_hold_no_secret_say_why(tmp_path: Path) -> None:
    def reason(path: Path, content: bytes | None = None) -> str:
        if content is not None:
            path.write_bytes(content)
            path.chmod(0o600)
        with pytest.raises(SecretUnavailable) as caught:
            file_secret(path).fetch()
        return caught.value.message

    path = tmp_path / "secret"
    assert reason(path) == f"secret file {path} cannot be read: No such file or directory"
    assert reason(path, b"\n").endswith("gives an empty secret")
    assert reason(path, b"a\0b").endswith("gives a secret with a zero byte in it")
    assert reason(path, b"\xff\xfe").endswith("gives bytes that are not UTF-8")
    assert reason(path, b"x" * 65_537).endswith("gives more than 64 KiB")
    assert reason(tmp_path) == f"secret file {tmp_path} is a directory"
    os.mkfifo(tmp_path / "fifo", 0o600)
    assert reason(tmp_path / "fifo").endswith("fifo is not a regular file")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    assert "Too many levels of symbolic links" in reason(tmp_path / "circle")


def program(tmp_path: Path, body: str) -> SecretReference:
    path = tmp_path / "program"
    path.write_text(f"#!{sys.executable}\nimport os, subprocess, sys, time\n{body}\n")
    path.chmod(0o700)
    return SecretReference.parse("exec:./program 'an argument' '$HOME;*'", base_directory=tmp_path)


async def test_programs_run_without_a_shell_and_their_output_is_the_secret(tmp_path: Path) -> None:
    reference = program(tmp_path, "print(sys.argv[1:], sys.stdin.read()); sys.stderr.write('noise')")
    assert (await reference.resolve()).reveal() == "['an argument', '$HOME;*'] "


def test_programs_that_fail_say_so_and_never_what_they_printed(tmp_path: Path) -> None:
    failing = program(tmp_path, "print('hunter2'); sys.stderr.write('hunter2'); sys.exit(3)")
    with pytest.raises(SecretUnavailable, match=r"program \./program of an exec: reference failed with exit code 3") as caught:
        failing.fetch()
    assert "hunter2" not in f"{caught.value.as_document()}"
    with pytest.raises(SecretUnavailable, match="cannot be started: No such file or directory"):
        SecretReference.parse("exec:/nowhere/program").fetch()
    (tmp_path / "data").write_text("no program")
    with pytest.raises(SecretUnavailable, match="cannot be started: Permission denied"):
        SecretReference.parse("exec:./data", base_directory=tmp_path).fetch()
    with pytest.raises(SecretUnavailable, match="gives more than 64 KiB"):
        program(tmp_path, "while True: print('x' * 10_000)").fetch()


def test_a_program_that_hangs_is_ended_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret_sources, "EXEC_TIMEOUT_SECONDS", 1.0)
    reference = program(
        tmp_path, "child = subprocess.Popen(['sleep', '300']); open('child', 'w').write(str(child.pid)); time.sleep(300)"
    )
    began = time.monotonic()
    with pytest.raises(SecretUnavailable, match="took longer than 1 s"):
        reference.fetch()
    assert time.monotonic() - began < 5
    status = Path(f"/proc/{(tmp_path / 'child').read_text()}/stat")
    deadline = time.monotonic() + 10
    while status.exists() and status.read_text().split()[2] != "Z" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not status.exists() or status.read_text().split()[2] == "Z"


async def test_a_program_runs_once_ahead_of_time_and_again_behind_when_its_answer_is_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = "open('runs', 'a').write('x'); print(len(open('runs').read()))"
    secret = program(tmp_path, counting).secret()
    await prepare_secrets([secret, None, Secret("plain")])
    assert [secret.reveal(), secret.reveal()] == ["1", "1"]
    monkeypatch.setattr(secrets, "EXEC_FRESH_SECONDS", 2.0)
    await asyncio.sleep(2.05)
    assert secret.reveal() == "1"  # given at once, fetched anew behind
    for _ in range(1000):
        if secret.reveal() != "1":
            break
        await asyncio.sleep(0.01)
    assert int(secret.reveal()) >= 2


async def test_preparing_reports_a_secret_that_cannot_be_read(tmp_path: Path) -> None:
    good, bad = SecretReference.parse("exec:echo x").secret(), SecretReference.parse(f"file:{tmp_path}/none").secret()
    with pytest.raises(SecretUnavailable, match="cannot be read"):
        await prepare_secrets([good, bad])
    assert good == SecretReference.parse("exec:echo x").secret()
    assert good != bad
    assert good != Secret("x")


async def test_after_preparing_a_program_that_hangs_or_fails_never_holds_up_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "EXEC_AGAIN_SECONDS", 0.1)
    secret = program(tmp_path, "time.sleep(2) if not os.path.exists('good') else print('hunter2')").secret()
    preparing = asyncio.create_task(prepare_secrets([secret]))
    await asyncio.sleep(0.3)
    began = time.monotonic()
    with pytest.raises(SecretUnavailable, match="still runs"):
        secret.reveal()
    with pytest.raises(SecretUnavailable, match="empty secret"):
        await preparing
    with pytest.raises(SecretUnavailable, match="empty secret"):
        secret.reveal()
    (tmp_path / "good").touch()
    waited = 0.0
    while True:
        asked = time.monotonic()
        try:
            assert secret.reveal() == "hunter2"
            break
        except SecretUnavailable:
            waited = max(waited, time.monotonic() - asked)
            await asyncio.sleep(0.05)
    assert waited < 0.5
    assert time.monotonic() - began < 30
