"""What a command shows: data with its columns. Commands return a view; only the command-line floor prints it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from dbre.core.errors import DbreError, ExitCode

__all__ = ["Column", "PluginState", "PluginStatus", "Row", "View"]

Row = Mapping[str, object]
"""One item as it appears in JSON: snake_case keys, base units in the key, unknown is ``None`` and never left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of the table form of a view."""

    key: str
    title: str
    format: Callable[[object], str] | None = None  # None: text as it is, "-" for None
    right: bool = False
    wide: bool = False  # shown with -o wide only
    below: bool = False  # sentences and commands: whole, on lines of their own, where the table is wider than the terminal
    tail: bool = False  # where it has to be cut, its end stays: ends of ids are what commands take


class PluginState(IntEnum):
    """What a monitoring plugin ends with. Source: Monitoring Plugins Development Guidelines, "Plugin Return Codes"."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginStatus:
    """What ``-o nagios`` says of a result whose items are good or bad in themselves."""

    state: PluginState
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The result of one command.

    ``kind`` names the document (``SloBudgetList``); ``single`` prints ``items[0]`` as the document itself and, as a table,
    key by key. ``text`` replaces the table form where a table is the wrong shape (SQL, a chart, a script). ``notes`` go to
    stderr. ``errors`` mark the document as partial, and go to stderr; where ``text_tells_errors``, people have read them.
    ``exit_code`` is what the process ends with; ``plugin`` says it for ``-o nagios`` where the exit code alone does not.
    """

    kind: str
    items: Sequence[Row]
    columns: Sequence[Column] = ()
    title: str = ""
    single: bool = False
    text: str | None = None
    empty: str = "nothing found"
    notes: Sequence[str] = ()
    errors: Sequence[DbreError] = field(default=())
    text_tells_errors: bool = False
    exit_code: ExitCode = ExitCode.OK
    plugin: PluginStatus | None = None
