"""Values of simple workloads, taken from a history that anybody may have written."""

from typing import Any

from dbre.capabilities.consistency.errors import HistoryInvalid
from dbre.capabilities.consistency.history import Call
from dbre.core.text import quoted

__all__ = ["frozen", "item_list", "plain", "unknown_act", "whole"]

_SHOWN = 60


def plain(value: Any) -> str:
    """A value in a sentence."""
    return (
        "null"
        if value is None
        else quoted(value, limit=_SHOWN)
        if isinstance(value, str)
        else quoted(str(value), limit=_SHOWN)[1:-1]
    )


def whole(value: Any, call: Call, what: str) -> int:
    """A whole number. Raises: HistoryInvalid."""
    if type(value) is not int:
        raise HistoryInvalid(f"op {call.began}: {what} is {plain(value)}, not a whole number", hint="see dbre check --help")
    return value


def frozen(value: Any) -> Any:
    """The value as something that can be compared and looked up; 1, 1.0 and true stay apart."""
    if isinstance(value, list | tuple):
        return tuple(frozen(one) for one in value)
    if isinstance(value, dict):
        named = ((type(key).__name__, str(key), frozen(one)) for key, one in value.items())
        return ("{}", *sorted(named, key=lambda one: one[:2]))  # values are of any kind: they have no order
    return value if value is None or type(value) in (int, str) else (type(value).__name__, value)


def item_list(value: Any, call: Call) -> list[Any]:
    """The items that a read gave, in a form that can be looked up. Raises: HistoryInvalid."""
    if not isinstance(value, list):
        raise HistoryInvalid(f"op {call.began}: a read gave {plain(value)}, not a list", hint="a read gives all that it saw")
    return [frozen(one) for one in value]


def unknown_act(call: Call, *known: str) -> HistoryInvalid:
    """What to raise where a call is none of this workload."""
    return HistoryInvalid(
        f"op {call.began}: f {quoted(call.f, limit=_SHOWN)} is no act of this workload",
        hint=f"it has {', '.join(known)}; another one is chosen by --workload",
    )
