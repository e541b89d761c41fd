"""Histories from files: JSON Lines or EDN, told apart by their first character."""

import codecs
import io
import itertools
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import msgspec

from dbre.capabilities.consistency.edn import read_edn
from dbre.capabilities.consistency.errors import HistoryInvalid, HistoryTooLarge
from dbre.capabilities.consistency.history import Op
from dbre.core.text import one_line
from dbre.core.units import format_bytes

__all__ = ["LINE_BYTES", "read_history", "read_text"]

LINE_BYTES = 16 << 20


def read_history(file: BinaryIO, *, line_bytes: int = LINE_BYTES) -> Iterator[Op]:
    """The ops of a history, one after the other; memory holds one line of it.

    Raises: HistoryInvalid with the line and what is wrong, HistoryTooLarge where a line is longer than ``line_bytes``.
    """
    lines = _lines(file, line_bytes)
    blank, line, first = 0, b"", b""
    for line in lines:
        first = line.lstrip(b"\xef\xbb\xbf \t\r\n")
        if first:
            break
        blank += 1
    if not first:
        return iter(())
    every = itertools.chain(
        itertools.repeat(b"\n", blank), [line.removeprefix(codecs.BOM_UTF8)], lines
    )  # so that places in messages are those of the file
    is_json = first[:1] == b"{" and first[1:].lstrip(b" \t\r\n")[:1] in (b'"', b"}")
    return _from_json(every) if is_json else _from_edn(every)


def _lines(file: BinaryIO, limit: int) -> Iterator[bytes]:
    for number in itertools.count(1):
        line = file.readline(limit + 1)
        if len(line) > limit:
            raise HistoryTooLarge(f"line {number} is longer than {format_bytes(limit)}", hint="one op a line, of JSON or EDN")
        if not line:
            return
        yield line


def _from_json(lines: Iterable[bytes]) -> Iterator[Op]:
    decode = msgspec.json.Decoder(Op).decode
    for number, line in enumerate(lines, 1):
        try:
            yield decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if not line.strip(b"\xef\xbb\xbf \t\r\n"):
                continue
            raise HistoryInvalid(
                f"line {number}: {one_line(str(error))}",
                hint='a line is an op: {"process": 0, "type": "invoke", "f": "txn", "value": [["r", "x", null]]}',
            ) from error


def _from_edn(lines: Iterable[bytes]) -> Iterator[Op]:
    for number, value in enumerate(read_edn(_decoded(lines), unwrap=True)):
        try:
            yield msgspec.convert(value, Op)
        except (msgspec.ValidationError, RecursionError) as error:
            raise HistoryInvalid(
                f"op {number}: {one_line(str(error))}",
                hint='an op is a map: {:process 0, :type :invoke, :f :txn, :value [[:r "x" nil]]}',
            ) from error


def _decoded(lines: Iterable[bytes]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise HistoryInvalid(f"line {number} is not UTF-8", hint="write JSON Lines or EDN as UTF-8") from error


def read_text(text: str) -> Iterator[Op]:
    """The ops of a history that is in memory."""
    return read_history(io.BytesIO(text.encode()))
