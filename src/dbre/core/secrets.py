"""References to secrets, and a type that never prints one."""

import asyncio
import contextlib
import hmac
import math
import re
import shlex
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from dbre.core.errors import UsageError
from dbre.core.secret_sources import SecretUnavailable, read_file, read_program, read_variable
from dbre.core.text import printable

__all__ = ["Secret", "SecretReference", "SecretScheme", "SecretUnavailable", "prepare_secrets"]

EXEC_FRESH_SECONDS = 300.0  # shorter than the shortest-lived tokens in use (AWS RDS: 15 minutes)
EXEC_AGAIN_SECONDS = 10.0  # between two runs of a program that fails

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HOW = "write env:NAME, file:/path/to/file or exec:program argument"


class Secret:
    """A secret value; ``str``, ``repr`` and ``format`` give ``***``, pickling and JSON are refused.

    ``reveal()`` at the last moment, when the driver asks.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself: hand it to the driver, nowhere else."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __format__(self, specification: str) -> str:
        return format("***", specification)

    def __eq__(self, other: object) -> bool:
        return type(other) is Secret and hmac.compare_digest(other._value.encode(), self._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not written anywhere")


class SecretScheme(StrEnum):
    """Where a secret is kept."""

    ENV = "env"
    FILE = "file"
    EXEC = "exec"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretReference:
    """Where a secret is to be found; safe to print. Relative paths start at ``base_directory``, the file's own."""

    scheme: SecretScheme
    target: str
    base_directory: Path | None = field(default=None, compare=False)

    @classmethod
    def parse(cls, text: str, *, base_directory: Path | None = None) -> "SecretReference":
        """Read ``env:NAME``, ``file:/path`` or ``exec:program argument``.

        Raises: UsageError, which never repeats the text: it may be the secret itself.
        """
        scheme, colon, target = text.partition(":")
        if not colon or scheme not in set(SecretScheme):
            raise UsageError("a secret is not written here, only where it is kept", hint=_HOW)
        reference = cls(scheme=SecretScheme(scheme), target=target.strip(), base_directory=base_directory)
        if any(ord(character) < 32 or ord(character) == 127 for character in target):
            raise UsageError("the secret reference holds control characters", hint=_HOW)
        if reference.scheme is SecretScheme.ENV and not _VARIABLE.fullmatch(reference.target):
            raise UsageError(
                "the secret reference env: is not followed by the name of a variable", hint="write env:ORDERS_PASSWORD"
            )
        if reference.scheme is SecretScheme.FILE and not reference.target:
            raise UsageError("the secret reference file: is not followed by a path", hint="write file:/run/secrets/orders")
        if reference.scheme is SecretScheme.EXEC:
            reference._arguments()
        return reference

    def __str__(self) -> str:
        return f"{self.scheme}:{self.target}"

    def secret(self, base_directory: Path | None = None) -> Secret:
        """A secret that is fetched when it is revealed; does no I/O yet.

        A variable or file is read at each ``reveal()``, so that a rotated password is used without a restart. A program runs
        at the first one, and again in the background where its answer is older than five minutes. That first run blocks
        the caller: ``prepare_secrets`` does it ahead of time.
        """
        return _Deferred(self._under(base_directory))

    def fetch(self) -> str:
        """The secret itself, read now; a program may block for ten seconds. Raises: SecretUnavailable."""
        value = self._read().rstrip("\r\n")
        name = "the program of the exec: reference" if self.scheme is SecretScheme.EXEC else printable(str(self))
        if not value:
            raise SecretUnavailable(f"{name} gives an empty secret", hint="put the secret there, or leave the key out")
        if "\0" in value:
            raise SecretUnavailable(f"{name} gives a secret with a zero byte in it", hint="no database accepts that")
        return value

    async def resolve(self, base_directory: Path | None = None) -> Secret:
        """Fetch the secret now; ends within ten seconds. Raises: SecretUnavailable."""
        return Secret(await asyncio.to_thread(self._under(base_directory).fetch))

    def _under(self, base_directory: Path | None) -> "SecretReference":
        return self if self.base_directory or not base_directory else replace(self, base_directory=base_directory)

    def _read(self) -> str:
        if self.scheme is SecretScheme.ENV:
            return read_variable(self.target)
        if self.scheme is SecretScheme.FILE:
            return read_file((self.base_directory or Path.cwd()) / Path(self.target).expanduser())
        return read_program(self._arguments(), directory=self.base_directory)

    def _arguments(self) -> Sequence[str]:
        try:
            arguments = shlex.split(self.target)
        except ValueError:
            raise UsageError(
                "the exec: reference has an unclosed quote", hint="quote as in a shell; no shell runs it"
            ) from None
        if not arguments or not arguments[0]:
            raise UsageError(
                "the secret reference exec: is not followed by a program", hint="write exec:vault kv get -field=password orders"
            )
        return arguments


class _Deferred(Secret):
    """A secret behind a reference."""

    __slots__ = ("_failed_at", "_failure", "_fetched_at", "_is_prepared", "_lock", "_reference", "_refreshing")

    def __init__(self, reference: SecretReference) -> None:
        super().__init__("")
        self._reference = reference
        self._fetched_at: float | None = None
        self._failed_at = -math.inf
        self._failure: SecretUnavailable | None = None
        self._lock = threading.Lock()  # one program at a time
        self._refreshing = False
        self._is_prepared = False

    def reveal(self) -> str:
        """The secret itself: hand it to the driver, nowhere else. Raises: SecretUnavailable."""
        if self._reference.scheme is not SecretScheme.EXEC:
            return self._reference.fetch()
        if not self._is_usable() and not self._is_prepared:
            self._fetch_first()
        now = time.monotonic()
        is_fresh = self._fetched_at is not None and now - self._fetched_at <= EXEC_FRESH_SECONDS
        if not is_fresh and not self._refreshing and now - self._failed_at >= EXEC_AGAIN_SECONDS:
            self._refreshing = True
            threading.Thread(target=self._refresh_behind, name="dbre-secret", daemon=True).start()
        if not self._is_usable():
            raise self._unavailable()
        return self._value

    def prepare(self) -> None:
        """Fetch now; from here on ``reveal`` never waits for a program. Raises: SecretUnavailable."""
        self._is_prepared = True
        if self._reference.scheme is SecretScheme.EXEC:
            self._fetch_first()
        else:
            self._reference.fetch()

    def _is_usable(self) -> bool:
        """There is a value, and it is not so old that it must not be given."""
        return self._fetched_at is not None and time.monotonic() - self._fetched_at <= 2 * EXEC_FRESH_SECONDS

    def _unavailable(self) -> SecretUnavailable:
        if self._failure is None:
            return SecretUnavailable("the program of the exec: reference still runs", hint="it has ten seconds")
        return SecretUnavailable(self._failure.message, hint=self._failure.hint)  # a new one: a traceback grows when raised

    def _fetch_first(self) -> None:
        with self._lock:
            if not self._is_usable():
                self._refresh()

    def _refresh(self) -> None:
        try:
            self._value = self._reference.fetch()
        except SecretUnavailable as error:
            self._failure, self._failed_at = error, time.monotonic()
            raise
        self._fetched_at, self._failure = time.monotonic(), None

    def _refresh_behind(self) -> None:
        try:
            # A failure here costs nothing yet: the old value stays until it is too old, then the caller sees the error.
            with self._lock, contextlib.suppress(SecretUnavailable):
                self._refresh()
        finally:
            self._refreshing = False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Deferred) and other._reference == self._reference

    def __hash__(self) -> int:
        return hash(self._reference)


async def prepare_secrets(secrets: Iterable[Secret | None]) -> None:
    """Fetch deferred secrets side by side in threads, so that no later ``reveal()`` blocks the event loop on a program.

    Where a program fails, ``reveal()`` says so at once, and the program is tried again in the background.

    Raises: SecretUnavailable of the first that fails.
    """
    deferred = [secret.prepare for secret in secrets if isinstance(secret, _Deferred)]
    results = await asyncio.gather(*(asyncio.to_thread(prepare) for prepare in deferred), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
