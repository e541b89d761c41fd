"""Tables for people, plain ASCII lines so that they survive mail, tickets and grep."""

import os
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.cells import cell_len, set_cell_size

from dbre.cli.render.values import as_words
from dbre.core.view import Column, Row, View

__all__ = ["as_table"]

_GAP = "  "
_NARROWEST = 8
_NARROWEST_NAME = 24
_NARROWEST_TAIL = 13  # with the sign for what is cut: the last group of an id


def as_table(view: View, *, wide: bool) -> str:
    """The view as aligned columns, or key by key when it is a single item, or its own text.

    On a terminal the widest columns shrink until the table fits, and those that are for reading or copying go below their
    line; off it nothing is cut.
    """
    if view.text is not None:
        return view.text if view.text.endswith("\n") else view.text + "\n"
    if view.single:
        return _key_by_key(view)
    if not view.items:
        return f"{view.empty}\n"
    columns = [one for one in _columns(view) if wide or not one.wide]
    below: list[Column] = []
    widths = _widths(columns, view.items)
    if sys.stdout.isatty() and not wide:
        if not _fits(widths):
            below, columns = [one for one in columns if one.below], [one for one in columns if not one.below]
            widths = _widths(columns, view.items)
        widths = _fitted(widths, narrowest_name=_NARROWEST_TAIL if columns[0].tail else _NARROWEST_NAME)
    lines = [_line([column.title for column in columns], widths, columns)]
    for item in view.items:
        lines.append(_line([_cell(column, item) for column in columns], widths, columns))
        lines += [f"{_GAP}{one.title.lower()}: {_cell(one, item)}" for one in below if item.get(one.key) is not None]
    return "\n".join(([view.title] if view.title else []) + lines) + "\n"


def _widths(columns: list[Column], items: Sequence[Row]) -> list[int]:
    return [max(cell_len(text) for text in (one.title, *(_cell(one, item) for item in items))) for one in columns]


def _fits(widths: list[int]) -> bool:
    return sum(widths) + len(_GAP) * (len(widths) - 1) <= _room()


def _room() -> int:
    return int(os.environ.get("COLUMNS") or 0) or shutil.get_terminal_size().columns


def _columns(view: View) -> list[Column]:
    return list(view.columns) or [Column(key=key, title=key.replace("_", " ").upper()) for key in view.items[0]]


def _cell(column: Column, item: Row) -> str:
    value = item.get(column.key)
    if column.format is None or value is None:
        return as_words(_moment(value) if _is_moment(column.key) else value)
    return as_words(column.format(value))


def _is_moment(key: str) -> bool:
    return key == "at" or key.endswith("_at")  # how rows name moments; what users called so themselves is no row of ours


def _moment(value: object) -> object:
    """To the second, in UTC, as everywhere in dbre; documents (json, csv) have it exactly."""
    if not isinstance(value, str | datetime):
        return value
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return value
    return value if at.tzinfo is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"


def _line(texts: list[str], widths: list[int], columns: list[Column]) -> str:
    cells = []
    for text, width, column in zip(texts, widths, columns, strict=True):
        if cell_len(text) > width:
            cells.append("…" + _end(text, width - 1) if column.tail else set_cell_size(text, width - 1) + "…")
        else:
            padding = " " * (width - cell_len(text))
            cells.append(padding + text if column.right else text + padding)
    return _GAP.join(cells).rstrip()


def _end(text: str, width: int) -> str:
    return set_cell_size(text[::-1], width)[::-1]


def _fitted(widths: list[int], *, narrowest_name: int) -> list[int]:
    room = _room()
    fitted = list(widths)
    for columns in (range(1, len(fitted)), range(1)):  # names stand in the first column: it is cut last
        while sum(fitted) + len(_GAP) * (len(fitted) - 1) > room:
            widest = max(columns, key=fitted.__getitem__, default=0)
            if fitted[widest] <= (_NARROWEST if widest else narrowest_name):
                break
            fitted[widest] -= 1
    return fitted


def _key_by_key(view: View) -> str:
    item = view.items[0]
    columns = _columns(view)
    width = max(cell_len(column.title) for column in columns)
    lines = [f"{column.title}{' ' * (width - cell_len(column.title))}{_GAP}{_cell(column, item)}" for column in columns]
    return "\n".join(([view.title] if view.title else []) + lines) + "\n"
