"""Tables for people, plain ASCII lines so that they survive mail, tickets and grep."""

import os
import shutil
import sys
from datetime import UTC, datetime

from rich.cells import cell_len, set_cell_size

from dbre.cli.render.values import as_words
from dbre.core.view import Column, Row, View

__all__ = ["as_table"]

_GAP = "  "
_NARROWEST = 8
_NARROWEST_NAME = 24


def as_table(view: View, *, wide: bool) -> str:
    """The view as aligned columns, or key by key when it is a single item, or its own text.

    On a terminal the widest columns shrink until the table fits; off it nothing is cut.
    """
    if view.text is not None:
        return view.text if view.text.endswith("\n") else view.text + "\n"
    if view.single:
        return _key_by_key(view)
    if not view.items:
        return f"{view.empty}\n"
    columns = [one for one in _columns(view) if wide or not one.wide]
    cells = [[_cell(column, item) for column in columns] for item in view.items]
    widths = [max(cell_len(text) for text in (column.title, *texts)) for column, *texts in zip(columns, *cells, strict=True)]
    widths = _fitted(widths) if sys.stdout.isatty() and not wide else widths
    lines = [_line([column.title for column in columns], widths, columns), *(_line(row, widths, columns) for row in cells)]
    return "\n".join(([view.title] if view.title else []) + lines) + "\n"


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
            cells.append(set_cell_size(text, width - 1) + "…")
        else:
            padding = " " * (width - cell_len(text))
            cells.append(padding + text if column.right else text + padding)
    return _GAP.join(cells).rstrip()


def _fitted(widths: list[int]) -> list[int]:
    room = int(os.environ.get("COLUMNS") or 0) or shutil.get_terminal_size().columns
    fitted = list(widths)
    for columns in (range(1, len(fitted)), range(1)):  # names stand in the first column: it is cut last
        while sum(fitted) + len(_GAP) * (len(fitted) - 1) > room:
            widest = max(columns, key=fitted.__getitem__, default=0)
            if fitted[widest] <= (_NARROWEST if widest else _NARROWEST_NAME):
                break
            fitted[widest] -= 1
    return fitted


def _key_by_key(view: View) -> str:
    item = view.items[0]
    columns = _columns(view)
    width = max(cell_len(column.title) for column in columns)
    lines = [f"{column.title}{' ' * (width - cell_len(column.title))}{_GAP}{_cell(column, item)}" for column in columns]
    return "\n".join(([view.title] if view.title else []) + lines) + "\n"
