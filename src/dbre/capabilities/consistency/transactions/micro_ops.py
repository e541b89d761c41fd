"""The single reads and writes of a transaction, and the values that they may hold."""

from typing import Any

from dbre.capabilities.consistency.errors import HistoryInvalid
from dbre.capabilities.consistency.history import Call
from dbre.core.text import quoted

__all__ = ["Item", "micro_ops_of", "require_item", "shown"]

Item = int | str
"""A key or an element: what compares the same in every program that reads histories."""

_SHOWN = 40


def micro_ops_of(call: Call, *, write: str) -> list[Any]:
    """The value of a transaction as a list of ``[act, key, value]``. Raises: HistoryInvalid with the op."""
    value = call.value
    if call.f != "txn" or not isinstance(value, list):
        raise HistoryInvalid(
            f"op {call.began}: f {quoted(call.f, limit=_SHOWN)} is no transaction of this workload",
            hint=f'a transaction is f "txn" with a list: [["r", KEY, SEEN], ["{write}", KEY, VALUE]]',
        )
    for one in value:
        if type(one) is not list or len(one) != 3 or (one[0] != "r" and one[0] != write):
            raise HistoryInvalid(
                f"op {call.began}: {quoted(str(one), limit=_SHOWN)} is no read and no {write}",
                hint=f'write ["r", KEY, SEEN] or ["{write}", KEY, VALUE]',
            )
    return value


def require_item(value: Any, call: Call) -> None:
    """Raises: HistoryInvalid unless a key or an element is a whole number or text."""
    if type(value) is not int and type(value) is not str:
        raise HistoryInvalid(
            f"op {call.began}: {quoted(str(value), limit=_SHOWN)} is neither a whole number nor text",
            hint="keys and elements are whole numbers or text",
        )


def shown(value: object) -> str:
    """A key or an element in a sentence."""
    return quoted(value, limit=_SHOWN) if isinstance(value, str) else str(value)
