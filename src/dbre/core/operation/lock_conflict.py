"""Which locks of targets exclude each other. Pure: the gate that explains and the claim that takes locks share it."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from dbre.core.operation.plan import LockMode

__all__ = ["HeldLock", "ancestors_of", "conflicting", "conflicts", "is_related"]

_TOGETHER = {(LockMode.SHARED, LockMode.SHARED), (LockMode.RESCUE, LockMode.YIELDING)}  # (wanted, held)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLock:
    """One row of the locks: which operation holds which target, how, and since when."""

    target: str  # a path: cluster/orders/instance/orders-1
    operation_id: UUID
    mode: LockMode
    at: datetime


def is_related(one: str, other: str) -> bool:
    """Whether two targets are the same, or one contains the other: whole parts of the path count, not letters.

    >>> is_related("cluster/orders", "cluster/orders/instance/orders-1"), is_related("cluster/orders", "cluster/orders-2")
    (True, False)
    """
    return all(left == right for left, right in zip(_parts(one), _parts(other), strict=False))


def conflicts(target: str, mode: LockMode, *, held: str, held_mode: LockMode) -> bool:
    """Whether a lock on ``target`` cannot be had beside ``held``: shared ones go together, a rescue beside what yields.

    Not the other way round: nothing that yields begins while a rescue is at work.

    >>> conflicts("cluster/a", LockMode.SHARED, held="cluster/a/instance/a-1", held_mode=LockMode.EXCLUSIVE)
    True
    >>> conflicts("cluster/a", LockMode.RESCUE, held="cluster/a", held_mode=LockMode.YIELDING)
    False
    >>> conflicts("cluster/a", LockMode.YIELDING, held="cluster/a", held_mode=LockMode.RESCUE)
    True
    """
    return (mode, held_mode) not in _TOGETHER and is_related(target, held)


def conflicting(
    target: str, mode: LockMode, locks: Iterable[HeldLock], *, own: Collection[UUID | None] = ()
) -> tuple[HeldLock, ...]:
    """The locks that stand in the way, the oldest first; ``own`` are the operation itself and, for a child, its ancestors."""
    found = [
        one for one in locks if one.operation_id not in own and conflicts(target, mode, held=one.target, held_mode=one.mode)
    ]
    return tuple(sorted(found, key=lambda one: (one.at, one.target, one.operation_id)))


def ancestors_of(target: str) -> tuple[str, ...]:
    """The target and everything that contains it, the widest first: what a query for conflicting locks compares as equal.

    >>> ancestors_of("cluster/orders/instance/orders-1")
    ('cluster', 'cluster/orders', 'cluster/orders/instance', 'cluster/orders/instance/orders-1')
    """
    parts = _parts(target)
    return tuple("/".join(parts[: index + 1]) for index in range(len(parts)))


def _parts(target: str) -> tuple[str, ...]:
    return tuple(part for part in target.split("/") if part)
