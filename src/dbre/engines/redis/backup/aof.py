"""The append-only file of Redis 7: its manifest, its commands, its times.

Source: redis.io, "Redis persistence", "Log rewriting since 7.0"; src/aof.c of Redis 7.0.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

__all__ = ["AofDamaged", "AofFile", "AofManifest", "Torn", "Unit", "parse_manifest", "read_units", "whole_bytes"]

_LARGEST_LINE = 64
_LARGEST_STRING = 512 * 2**20 + 2**16  # of a value: proto-max-bulk-len
_LARGEST_COUNT = 2**20
_TIME = b"#TS:"
_LINE = re.compile(r"file (?P<name>\"(?:[^\"\\]|\\.)*\"|\S+) seq (?P<number>\d+) type (?P<kind>[bhi])")
_PLAIN = re.compile(r"[A-Za-z0-9._-]+")


class AofDamaged(Exception):
    """The bytes are no commands, or the manifest is none; the message says what and where."""


class Torn(Exception):
    """The last command is not whole, as in a file that is still being written."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"the command at {offset} is not whole")
        self.offset = offset


@dataclass(frozen=True, slots=True)
class AofFile:
    """One line of a manifest."""

    name: str
    number: int
    kind: str  # b: base, i: incremental, h: history

    def line(self) -> str:
        """As the server writes it."""
        return f"file {self.name} seq {self.number} type {self.kind}\n"


@dataclass(frozen=True, slots=True)
class AofManifest:
    """What is read at a start: a base, where there is one, and what was written since."""

    base: AofFile | None
    increments: tuple[AofFile, ...]

    def text(self) -> str:
        """As the server writes it."""
        return "".join(one.line() for one in ((self.base,) if self.base else ())) + "".join(
            one.line() for one in self.increments
        )


def parse_manifest(text: str) -> AofManifest:
    """Read a manifest. Raises: AofDamaged where it is none, or names files outside of its directory."""
    base: AofFile | None = None
    increments: list[AofFile] = []
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None or _PLAIN.fullmatch(match["name"]) is None or match["name"] in (".", ".."):
            raise AofDamaged(f"the manifest has the line {line[:200]!r}")
        found = AofFile(match["name"], int(match["number"]), match["kind"])
        if found.kind == "b":
            if base is not None:
                raise AofDamaged("the manifest names two bases")
            base = found
        elif found.kind == "i":
            if increments and found.number <= increments[-1].number:
                raise AofDamaged(f"the manifest names {found.name} after {increments[-1].name}")
            increments.append(found)
    if not increments:
        raise AofDamaged("the manifest names no file of commands")
    return AofManifest(base, tuple(increments))


@dataclass(frozen=True, slots=True)
class Unit:
    """One command, or all of a transaction."""

    start: int
    end: int
    seconds: int | None  # since 1970, when the server carried it out; None: the file has no times


def read_units(file: BinaryIO, *, start: int = 0, seconds: int | None = None) -> Iterator[Unit]:
    """The commands from ``start`` on, where one begins; ``seconds`` is the time of what came before.

    A time is written only where the second changed, also across files.

    Raises: AofDamaged; Torn where the bytes end within a command.
    """
    file.seek(start)
    offset = start
    transaction: int | None = None
    while line := file.readline(_LARGEST_LINE):
        if not line.endswith(b"\n") and len(line) < _LARGEST_LINE:
            raise Torn(offset if transaction is None else transaction)
        if line.startswith(_TIME):
            seconds = _number(line, len(_TIME), offset, offset if transaction is None else transaction)
            offset += len(line)
            continue
        first, size = _command(file, line, offset, offset if transaction is None else transaction)
        begin, offset = offset, offset + size
        if transaction is None and first == b"MULTI":
            transaction = begin
        elif transaction is None:
            yield Unit(begin, offset, seconds)
        elif first == b"EXEC":
            yield Unit(transaction, offset, seconds)
            transaction = None
    if transaction is not None:
        raise Torn(transaction)


def whole_bytes(path: Path, *, start: int = 0) -> int:
    """Where the last whole command ends, from ``start`` on, where one begins. Raises: AofDamaged."""
    end = start
    with path.open("rb") as file:
        try:
            for unit in read_units(file, start=start):
                end = unit.end
        except Torn:
            pass  # it is still being written
    return end


def _command(file: BinaryIO, line: bytes, offset: int, torn_at: int) -> tuple[bytes, int]:
    """The first word of a command, in capitals, and how many bytes it takes."""
    if not line.startswith(b"*"):
        raise AofDamaged(f"no command begins at {offset}")
    count = _number(line, 1, offset, torn_at)
    if not 0 < count <= _LARGEST_COUNT:
        raise AofDamaged(f"the command at {offset} says that it has {count} words")
    size, first = len(line), b""
    for position in range(count):
        head = file.readline(_LARGEST_LINE)
        if not head:
            raise Torn(torn_at)
        if not head.startswith(b"$"):
            raise AofDamaged(f"word {position + 1} of the command at {offset} does not begin where it should")
        length = _number(head, 1, offset, torn_at)
        if length > _LARGEST_STRING:
            raise AofDamaged(f"word {position + 1} of the command at {offset} says that it has {length} bytes")
        word = file.read(length + 2)
        if len(word) < length + 2:
            raise Torn(torn_at)
        if not word.endswith(b"\r\n"):
            raise AofDamaged(f"word {position + 1} of the command at {offset} does not end where it should")
        first = first or word[:-2].upper()
        size += len(head) + length + 2
    return first, size


def _number(line: bytes, skip: int, offset: int, torn_at: int) -> int:
    if not line.endswith(b"\n") and len(line) < _LARGEST_LINE:
        raise Torn(torn_at)
    digits = line[skip:].removesuffix(b"\r\n")
    if not digits.isdigit() or not line.endswith(b"\r\n"):
        raise AofDamaged(f"there is no number where one belongs, in the command at {offset}")
    return int(digits)
