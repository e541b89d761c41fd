"""Where secrets are read from: a variable, a file, the output of a program."""

import contextlib
import os
import selectors
import shlex
import signal
import stat
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from dbre.core.errors import UsageError
from dbre.core.text import printable

__all__ = ["SecretUnavailable", "read_file", "read_program", "read_variable"]

LIMIT_BYTES = 64 * 1024
EXEC_TIMEOUT_SECONDS = 10.0


class SecretUnavailable(UsageError):
    """A reference is well written, but the secret behind it cannot be read."""

    code = "secrets.unavailable"


def read_variable(name: str) -> str:
    """The value of an environment variable. Raises: SecretUnavailable."""
    value = os.environ.get(name)
    if value is None:
        raise SecretUnavailable(f"environment variable {name} is not set", hint=f"export {name}=..., or write file: instead")
    return value


def read_file(path: Path) -> str:
    """The text of a regular file that is closed to others. Raises: SecretUnavailable.

    Links are followed; all checks are made on what was opened, so that nothing can be swapped in between.
    """
    name = f"secret file {printable(str(path))}"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO must not hold us up
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise SecretUnavailable(f"{name} cannot be read: {reason}", hint="check its path and owner") from error
    try:
        _check_file(path, os.fstat(descriptor))
        content = b""
        while len(content) <= LIMIT_BYTES and (block := os.read(descriptor, LIMIT_BYTES + 1)):
            content += block
    except OSError as error:
        raise SecretUnavailable(f"{name} cannot be read: {error.strerror}", hint="check its disk") from error
    finally:
        os.close(descriptor)
    return _decode(content, name)


def read_program(arguments: Sequence[str], *, directory: Path | None) -> str:
    """Standard output of a program, run without a shell for at most ten seconds. Raises: SecretUnavailable."""
    name = f"program {printable(arguments[0])} of an exec: reference"
    return _decode(_run(arguments, name=name, directory=directory), name)


def _check_file(path: Path, status: os.stat_result) -> None:
    shown = printable(str(path))
    if not stat.S_ISREG(status.st_mode):
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise SecretUnavailable(f"secret file {shown} is {kind}", hint="name the file itself")
    # Readable by the group is allowed: root:dbre 0640 is how packages and Kubernetes hand out secrets.
    if status.st_mode & (stat.S_IRWXO | stat.S_IWGRP):
        mode = stat.S_IMODE(status.st_mode)
        raise SecretUnavailable(
            f"secret file {shown} is open to others: mode {mode:04o}, limit 0640",
            hint=f"run: chmod g-w,o= {shlex.quote(shown)}",
            context={"path": shown, "mode": f"{mode:04o}"},
        )


def _decode(content: bytes, name: str) -> str:
    if len(content) > LIMIT_BYTES:
        raise SecretUnavailable(
            f"{name} gives more than {LIMIT_BYTES // 1024} KiB", hint="it must give the secret and nothing else"
        )
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise SecretUnavailable(f"{name} gives bytes that are not UTF-8", hint="store the secret as text") from None


def _run(arguments: Sequence[str], *, name: str, directory: Path | None) -> bytes:
    """Standard output of a program without a shell; ends within the time limit and takes all its children with it."""
    deadline = time.monotonic() + EXEC_TIMEOUT_SECONDS
    try:
        process = subprocess.Popen(  # noqa: S603 - the administrator's own program, named in the configuration
            arguments,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a program's name"
        raise SecretUnavailable(
            f"{name} cannot be started: {reason}", hint="check its path and that it is executable"
        ) from error
    try:
        output = _read(process, deadline)
        code = process.wait(max(deadline - time.monotonic(), 0.01)) if len(output) <= LIMIT_BYTES else 0
    except (TimeoutError, subprocess.TimeoutExpired):
        raise SecretUnavailable(
            f"{name} took longer than {EXEC_TIMEOUT_SECONDS:.0f} s", hint="run it by hand to see what it waits for"
        ) from None
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout:
            process.stdout.close()
    if code:
        raise SecretUnavailable(f"{name} failed with exit code {code}", hint="run it by hand to see its messages")
    return output


def _read(process: "subprocess.Popen[bytes]", deadline: float) -> bytes:
    output = b""
    if process.stdout is None:
        return output
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while len(output) <= LIMIT_BYTES:
            if not selector.select(max(deadline - time.monotonic(), 0)):
                raise TimeoutError
            block = os.read(process.stdout.fileno(), 16_384)
            if not block:
                break
            output += block
    return output
