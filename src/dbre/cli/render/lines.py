"""Names for scripts, and the one line that Nagios and its kin read."""

from dbre.cli.render.values import as_words
from dbre.core.errors import DbreError, ExitCode
from dbre.core.text import counted
from dbre.core.view import Row, View

__all__ = ["as_nagios", "as_names", "nagios_failure"]

_NAGIOS_WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
_NAGIOS_STATES = {ExitCode.OK: 0, ExitCode.PENDING: 1, ExitCode.FINDINGS: 2, ExitCode.UNREACHABLE: 2}  # all others: unknown


def as_names(view: View) -> str:
    """One name a line: the ``id`` or ``name`` of each item, else its first value."""
    return "".join(f"{as_words(item.get('id', item.get('name', next(iter(item.values()), None))))}\n" for item in view.items)


def as_nagios(view: View) -> tuple[str, int]:
    """One line ``KIND STATUS - text | perfdata``, and 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.

    Source: Monitoring Plugins Development Guidelines, "Plugin Output" and "Performance data".
    """
    if view.plugin:
        state, text = int(view.plugin.state), view.plugin.text
    else:
        state = _NAGIOS_STATES.get(view.exit_code, 3)
        text = view.notes[0] if view.notes else counted(len(view.items), "item")
    state = 3 if view.errors else state
    measured = [_perfdata(as_words(_label(item, position)), item) for position, item in enumerate(view.items)]
    line = _status(view.kind, state, text)
    values = " ".join(one for one in measured if one)
    return f"{line} | {values}\n" if values else f"{line}\n", state


def nagios_failure(error: DbreError) -> tuple[str, int]:
    """The line for a command that failed: 2 where the target does not answer, else 3, for nothing is known."""
    state = _NAGIOS_STATES.get(error.exit_code, 3)
    return _status("dbre", state, " ".join(error.message.split())) + "\n", state


def _status(kind: str, state: int, text: str) -> str:
    return f"{kind} {_NAGIOS_WORDS[state]} - {as_words(text).replace('|', '/')}"


def _label(item: Row, position: int) -> object:
    for key in ("id", "name", "service"):  # ids first: one SLO has the same name on each of its clusters
        if key in item:
            return item[key]
    return position


def _perfdata(name: str, item: object) -> str:
    if not isinstance(item, dict):
        return ""
    label = name.replace("'", "''").replace("=", "_")
    numbers = {key: value for key, value in item.items() if isinstance(value, int | float) and not isinstance(value, bool)}
    return " ".join(f"'{label}_{key}'={value:.6g}" for key, value in numbers.items())
