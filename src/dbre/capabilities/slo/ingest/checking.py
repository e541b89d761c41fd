"""Rows that make no sense, found quickly where there are none."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import TypeVar

from dbre.capabilities.slo.ingest.event_columns import EventColumns

__all__ = ["MAX_WEIGHT", "Rejection", "TimeLimits", "checked", "is_clean"]

MAX_WEIGHT = 2**30
"""Of one event: 2**22 of them a slot, and the slots of an hour, still fit into what a store can add up."""
_MAX_MS = 10**15  # a duration of thirty thousand years

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row that was not counted; rows are numbered from 0."""

    row: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLimits:
    """Between which moments an event may have happened, in Unix milliseconds."""

    oldest_ms: int
    newest_ms: int


def is_clean(columns: EventColumns, limits: TimeLimits) -> bool:
    """Whether nothing has to be left out; in no time. Raises: ValueError where the columns differ in length."""
    _check_lengths(columns)
    if not columns.at_ms:
        return True
    if min(columns.at_ms) < limits.oldest_ms or max(columns.at_ms) > limits.newest_ms:
        return False
    if columns.weight and (min(columns.weight) < 1 or max(columns.weight) > MAX_WEIGHT):
        return False
    if not columns.duration_ms:
        return True
    try:
        # a sum is finite only where each part is; what is no number raises
        return isfinite(sum(columns.duration_ms)) and min(columns.duration_ms) >= 0 and max(columns.duration_ms) < _MAX_MS  # type: ignore[arg-type, type-var, operator]  # None raises TypeError
    except TypeError:
        return all(one is None or 0 <= one < _MAX_MS for one in columns.duration_ms)


def checked(columns: EventColumns, limits: TimeLimits) -> tuple[EventColumns, list[int], list[Rejection]]:
    """The rows that make sense, which they were, and why the others do not."""
    rejections, kept = list[Rejection](), list[int]()
    for row, at in enumerate(columns.at_ms):
        weight = columns.weight[row] if columns.weight else 1
        duration = columns.duration_ms[row] if columns.duration_ms else None
        reason = _problem(at, weight, duration, limits)
        if reason is None:
            kept.append(row)
        else:
            rejections.append(Rejection(row, reason))
    chosen = replace(
        columns,
        at_ms=_only(columns.at_ms, kept),
        is_good=_only(columns.is_good, kept),
        is_valid=None if columns.is_valid is None else _only(columns.is_valid, kept),
        duration_ms=_only(columns.duration_ms, kept),
        weight=_only(columns.weight, kept),
        slo=_only(columns.slo, kept),
        attributes=_only(columns.attributes, kept),
    )
    return chosen, kept, rejections


def _check_lengths(columns: EventColumns) -> None:
    size = len(columns.at_ms)
    optional = (columns.duration_ms, columns.weight, columns.slo, columns.attributes)
    if len(columns.is_good) != size or any(one and len(one) != size for one in optional):
        raise ValueError("the columns of a batch differ in length")
    if columns.is_valid is not None and len(columns.is_valid) != size:
        raise ValueError("the columns of a batch differ in length")
    if size and not columns.slo and not columns.attributes:
        raise ValueError("a batch neither names SLOs nor has attributes")


def _only(values: Sequence[Value], rows: Sequence[int]) -> Sequence[Value]:
    return [values[row] for row in rows] if values else values


def _problem(at: int, weight: int, duration: float | None, limits: TimeLimits) -> str | None:
    if at < limits.oldest_ms:
        return f"too old: {at} ms lies before {limits.oldest_ms} ms, from where on windows reach"
    if at > limits.newest_ms:
        return f"in the future: {at} ms lies behind {limits.newest_ms} ms"
    if not 1 <= weight <= MAX_WEIGHT:
        return f"weight {weight} lies outside 1..{MAX_WEIGHT}"
    if duration is not None and not 0 <= duration < _MAX_MS:
        return f"{duration} is no duration in milliseconds"
    return None
