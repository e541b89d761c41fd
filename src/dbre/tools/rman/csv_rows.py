"""Rows that SQL*Plus printed as CSV, read strictly: half of a listing would look like backups that are gone.

Source: SQL*Plus User's Guide and Reference 19c, "SET MARK[UP] ... CSV": the first line names the columns, character values
are quoted, a quotation mark in one is doubled.
"""

import csv
import io
import re
from datetime import UTC, datetime

from dbre.core.programs.errors import ProgramFailed
from dbre.core.text import one_line

__all__ = ["END", "moment", "number", "parse_rows"]

END = "dbre-end"
"""What the script prints behind the last row: output without it was cut off."""
_ERROR = re.compile(r"^(?:ORA|SP2|TNS)-\d{4,5}: .*$", re.MULTILINE)


def parse_rows(text: str, *, query: str, status: int, said: str = "") -> list[dict[str, str]]:
    """Rows by the names of their columns; NULL is an empty string.

    Raises: ProgramFailed where the output is cut off, an error was printed outside of a row, or columns do not fit.
    """
    body, end, rest = ("\n" + text.replace("\r\n", "\n")).rstrip("\n ").rpartition("\n" + END)
    if status != 0 or not end or rest:
        failed = _ERROR.search(text)
        told = one_line(failed[0] if failed else said or text[-600:], limit=600) or "nothing"
        raise ProgramFailed(
            f"sqlplus ended with {status} before the end of the rows of {query}: {told}",
            hint="SYSBACKUP or SELECT on the V$ views is needed: run sqlplus by hand with the same wallet",
        )
    try:
        read = [row for row in csv.reader(io.StringIO(body.lstrip("\n"), newline=""), strict=True) if row]
    except csv.Error as error:
        raise ProgramFailed(f"the rows of {query} that sqlplus printed are no CSV: {error}") from error
    if not read or read == [["no rows selected"]]:
        return []
    names = [name.strip().lower() for name in read[0]]
    for row in read[1:]:
        if len(row) != len(names):
            raise ProgramFailed(
                f"a row of {query} has {len(row)} values, not {len(names)}: {one_line(','.join(row), limit=200)}",
                hint="tell us, with the release of SQL*Plus: SET MARKUP CSV needs 12.2 or later",
            )
    return [dict(zip(names, row, strict=True)) for row in read[1:]]


def number(row: dict[str, str], name: str) -> int | None:
    """A number that the query wrote with TO_CHAR: SQL*Plus itself would round an SCN to ten digits. None for NULL.

    Raises: ProgramFailed.
    """
    text = _value(row, name)
    if not text:
        return None
    if not text.isascii() or not text.removeprefix("-").isdigit() or len(text) > 40:
        raise ProgramFailed(f"{name} is {one_line(text, limit=60)!r}, which is no whole number")
    return int(text)


def moment(row: dict[str, str], name: str) -> datetime | None:
    """A moment that the query turned into UTC; None for NULL. Raises: ProgramFailed."""
    text = _value(row, name)
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC) if text else None
    except ValueError as error:
        raise ProgramFailed(f"{name} is {one_line(text, limit=60)!r}, which is no moment") from error


def _value(row: dict[str, str], name: str) -> str:
    try:
        return row[name].strip()
    except KeyError as error:
        raise ProgramFailed(f"the rows that sqlplus printed have no column {name}", hint="tell us, with the release") from error
