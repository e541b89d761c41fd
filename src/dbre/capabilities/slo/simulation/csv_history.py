"""Counts from a CSV file: time, good and bad (or total), one line for each moment."""

import csv
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.series import SlotSeries, slot_at
from dbre.core.config.problems import Place, Problem
from dbre.core.errors import UsageError

__all__ = ["InvalidHistory", "read_csv"]

LIMIT_ROWS = 5_000_000
_SHOWN = 20
_LARGEST = 10**15


class InvalidHistory(UsageError):
    """A history that cannot be replayed; all that is wrong with it is told at once."""

    code = "slo.invalid_history"


def read_csv(path: Path) -> SlotSeries:
    """The history of a file. The first line names the columns: ``time`` and ``good``, and one of ``bad`` and ``total``.

    A time is RFC 3339 with its offset, or Unix seconds. Raises: InvalidHistory.
    """
    problems: list[Problem] = []
    counted: dict[int, Counts] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for slot, counts in _rows(csv.DictReader(file), str(path), problems):
                counted[slot] = counted.get(slot, Counts()) + counts
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not CSV in UTF-8"
        raise InvalidHistory(f"{path} cannot be read: {reason}", hint="see docs/reference/slo-simulate") from error
    if problems:
        lines = [str(one) for one in problems[:_SHOWN]]
        lines += [f"... and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        raise InvalidHistory("\n  ".join([f"the history has {len(problems)} wrong lines:", *lines]))
    if not counted:
        raise InvalidHistory(f"{path} holds no line with counts", hint="begin with a line: time,good,bad")
    series = SlotSeries()
    for slot in sorted(counted):
        series.add(slot, counted[slot])
    return series


def _rows(reader: "csv.DictReader[str]", source: str, problems: list[Problem]) -> Iterator[tuple[int, Counts]]:
    names = [name.strip().lower() for name in reader.fieldnames or ()]
    reader.fieldnames = names
    if "time" not in names or "good" not in names or ("bad" in names) == ("total" in names):
        hint = "begin with a line: time,good,bad (or time,good,total)"
        problems.append(Problem(Place(source, 1), f"the columns are {', '.join(names) or 'missing'}", hint))
        return
    for count, row in enumerate(reader):
        place = Place(source, reader.line_num)
        if count >= LIMIT_ROWS:
            problems.append(Problem(place, f"more than {LIMIT_ROWS} lines", "give a shorter history, or one of minutes"))
            return
        try:
            yield slot_at(_moment(row)), _counts(row)
        except ValueError as error:
            problems.append(Problem(place, str(error)))


def _moment(row: Mapping[str, str | None]) -> datetime:
    text = (row.get("time") or "").strip()
    try:
        if text.replace(".", "", 1).isdigit():
            return datetime.fromtimestamp(float(text), UTC)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        raise ValueError("time is neither RFC 3339 nor Unix seconds: write 2026-11-01T00:00:00Z") from None
    if moment.tzinfo is None:
        raise ValueError("time has no offset: write 2026-11-01T00:00:00Z")
    return moment.astimezone(UTC)


def _counts(row: Mapping[str, str | None]) -> Counts:
    good = _number(row, "good")
    if "total" in row:
        total = _number(row, "total")
        if good > total:
            raise ValueError(f"good {good} is more than total {total}")
        return Counts(good, total - good)
    return Counts(good, _number(row, "bad"))


def _number(row: Mapping[str, str | None], name: str) -> int:
    text = (row.get(name) or "").strip()
    if not (text.isascii() and text.isdigit()) or int(text) > _LARGEST:
        raise ValueError(f"{name} is no count: write a whole number from 0 to {_LARGEST}")
    return int(text)
