"""How a view leaves the process: which form, which columns, which order; and the exit code."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self, TypeVar

from dbre.cli.forms import OutputFormat
from dbre.core.errors import DbreError, UsageError
from dbre.core.text import closest, printable
from dbre.core.view import Column, Row, View

__all__ = ["OutputFormat", "OutputOptions", "drop_stdout", "say"]

T = TypeVar("T")
_FOR_PEOPLE = (OutputFormat.TABLE, OutputFormat.WIDE)


def say(error: DbreError, *, with_hint: bool = True) -> None:
    """An error for people, on stderr."""
    for line in error.message.splitlines() or [""]:
        sys.stderr.write(f"dbre: {printable(line)}\n")
    if error.hint and with_hint:
        sys.stderr.write(f"hint: {printable(error.hint)}\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """The shared output options of one invocation."""

    format: OutputFormat = OutputFormat.TABLE
    columns: tuple[str, ...] = ()
    sort: str | None = None
    limit: int | None = None
    quiet: bool = False

    @classmethod
    def of(
        cls,
        *,
        output: OutputFormat = OutputFormat.TABLE,
        columns: str | None = None,
        sort: str | None = None,
        limit: int | None = None,
        quiet: bool = False,
    ) -> Self:
        """Build from the flags as they are declared on every command."""
        names = tuple(one.strip() for one in (columns or "").split(",") if one.strip())
        return cls(format=output, columns=names, sort=sort, limit=limit, quiet=quiet)

    @property
    def clears_screen(self) -> bool:
        """Whether ``--watch`` redraws in place instead of appending."""
        return self.format in _FOR_PEOPLE

    def show(self, view: View) -> int:
        """Print ``view`` to stdout, its notes to stderr, and give the exit code. Raises: UsageError for unknown columns."""
        from dbre.cli.render import render  # here, because rich and yaml cost time that --help must not pay

        shown = self._limited(self._sorted(self._with_columns(view)))
        text, code = render(shown, self.format)
        _write(text)
        if not self.quiet:
            for note in shown.notes:
                sys.stderr.write(f"{printable(note)}\n")
        is_told = view.text_tells_errors and shown.text is not None and self.format in _FOR_PEOPLE
        for error, following in pairwise([*(() if is_told else view.errors), None]):
            if error is not None:  # a remedy that many have in common is told once
                say(error, with_hint=following is None or following.hint != error.hint)
        return code

    def write(self, text: str) -> None:
        """Print text as it is to stdout: a document that another command takes."""
        _write(text)

    def _with_columns(self, view: View) -> View:
        if not self.columns:
            return view
        known = {column.key: column for column in view.columns}
        known |= {key: Column(key=key, title=key) for item in view.items[:1] for key in item if key not in known}
        for column in view.columns:  # people read the header; a key comes before another column's header
            known.setdefault(column.title.lower().replace(" ", "_"), column)
        return replace(view, columns=[replace(_pick(known, name, "--columns"), wide=False) for name in self.columns], text=None)

    def _sorted(self, view: View) -> View:
        if not self.sort or view.single or not view.items:
            return view
        key, descending = self.sort.removeprefix("-"), self.sort.startswith("-")
        _pick({name: name for name in view.items[0]}, key, "--sort")
        known = [item for item in view.items if item.get(key) is not None]
        unknown = [item for item in view.items if item.get(key) is None]
        known.sort(key=lambda item: _sortable(item[key]), reverse=descending)
        return replace(view, items=[*known, *unknown], text=None)

    def _limited(self, view: View) -> View:
        if self.limit is None or view.single or len(view.items) <= self.limit:
            return view
        cut: Sequence[Row] = view.items[: self.limit]
        return replace(view, items=cut, notes=[*view.notes, f"shown: {len(cut)} of {len(view.items)}"])


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        drop_stdout()  # the reader left: there is nothing more to say
    except OSError as error:
        drop_stdout()
        raise DbreError(f"standard output cannot be written: {error.strerror}", hint="the result is incomplete") from error


def drop_stdout() -> None:
    """Send what is still buffered nowhere, so that Python does not fail over it again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _sortable(value: object) -> tuple[int, float, str]:
    return (0, float(value), "") if isinstance(value, int | float) else (1, 0.0, str(value))


def _pick(known: dict[str, T], name: str, flag: str) -> T:
    if name in known:
        return known[name]
    near = closest(name, list(known))
    hint = f"did you mean {near}?" if near else f"known: {', '.join(known)}"
    raise UsageError(f"{flag} names {name!r}, which this result does not have", hint=hint)
