"""The files that ``dbre check`` reads and writes."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from dbre.capabilities.consistency.history import Op
from dbre.capabilities.consistency.writing import write_edn, write_jsonl
from dbre.core.errors import PrecheckFailed, UsageError
from dbre.core.text import quoted

__all__ = ["exported", "opened"]

_FORMS = (".jsonl", ".edn")


@contextmanager
def opened(name: str) -> Iterator[BinaryIO]:
    """A history for reading; ``-`` is standard input. Raises: UsageError where it cannot be opened."""
    if name == "-":
        yield sys.stdin.buffer
        return
    try:
        file = Path(name).open("rb")  # noqa: SIM115
    except OSError as error:
        raise UsageError(f"{quoted(name)} cannot be read: {error.strerror}", hint="name a file of JSON Lines or EDN") from error
    with file:
        yield file


@contextmanager
def exported(history: Iterable[Op], target: Path | None) -> Iterator[Iterable[Op]]:
    """The same ops, written to a new file as they go by. Raises: UsageError where it cannot be made or has no known form."""
    if target is None:
        yield history
        return
    if target.suffix not in _FORMS:
        raise UsageError(f"{quoted(str(target))} is neither .jsonl nor .edn", hint="the ending says what is written")
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise UsageError(
            f"{quoted(str(target))} cannot be made: {error.strerror}", hint="name a file that is not there yet"
        ) from error
    file = os.fdopen(descriptor, "wb")
    try:
        yield _written(history, file, target)
        with _told(target):
            file.close()
    except BaseException:
        target.unlink(missing_ok=True)  # half a history, in the way of the next try
        with suppress(OSError):  # what could not be written before cannot be written now
            file.close()
        raise


def _written(history: Iterable[Op], file: BinaryIO, target: Path) -> Iterator[Op]:
    for op in history:
        with _told(target):
            lines = (one.encode() for one in write_edn([op])) if target.suffix == ".edn" else write_jsonl([op])
            file.writelines(lines)
        yield op


@contextmanager
def _told(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PrecheckFailed(
            f"{quoted(str(target))} cannot be written: {error.strerror}", hint="make room, or leave it out"
        ) from error
