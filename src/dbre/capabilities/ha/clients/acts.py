"""What clients do next: acts that a checker can judge, drawn from a seed so that a run can be told apart and repeated."""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dbre.ports.client_work import ClientWorkload

__all__ = ["Acts", "final_acts", "keys_of"]

_IDS_OF_A_CLIENT = 10_000_000_000
_MOST_READ = 20_000  # writes of a client, beyond which nobody reads all of them any more before the end
_ACTIVE_KEYS = 5
_ACTS_OF_A_KEY = 60  # of one client: linearizability is judged key by key, and long ones take too long
_ACCOUNTS = 8
_TRANSACTION = 4  # micro-operations at most
_FINAL_KEYS = 200  # in one transaction of reads


class Acts:
    """The acts of one client, one after the other. ``learn`` is told what was read, so that some can build on it."""

    def __init__(self, workload: ClientWorkload, *, run: str, client: int, rate: float) -> None:
        self._make: Callable[[], tuple[str, Any]] = {
            ClientWorkload.LEDGER: lambda: self._writing("write"),
            ClientWorkload.SET: lambda: self._writing("add"),
            ClientWorkload.REGISTER: self._register,
            ClientWorkload.LIST_APPEND: self._transaction,
            ClientWorkload.BANK: self._bank,
        }[workload]
        self._chance = random.Random(f"{run}:{client}")  # noqa: S311 - a workload, not a secret
        self._base = (client + 1) * _IDS_OF_A_CLIENT
        self._read_every = max(2, round(rate))  # once a second
        self._count = 0
        self._last_id = 0
        self._seen: dict[int, int] = {}

    def next(self) -> tuple[str, Any]:
        """``f`` and ``value`` of the next act."""
        self._count += 1
        return self._make()

    def learn(self, f: str, value: Any) -> None:
        """Take note of an acknowledged act on a register."""
        if f == "cas":
            self._seen[value[0]] = value[1][1]
        elif f in ("read", "write") and isinstance(value, list) and len(value) == 2 and value[1] is not None:
            self._seen[value[0]] = value[1]

    def _id(self) -> int:
        self._last_id += 1
        return self._base + self._last_id

    def _key(self) -> int:
        """One of a few keys, which change as time goes on; the same ones for all clients of a run."""
        generation = self._count // (_ACTIVE_KEYS * _ACTS_OF_A_KEY)
        return generation * _ACTIVE_KEYS + self._chance.randrange(_ACTIVE_KEYS)

    def _writing(self, f: str) -> tuple[str, Any]:
        if self._count % self._read_every == 0 and self._last_id <= _MOST_READ:
            return "read", None
        return f, self._id()

    def _register(self) -> tuple[str, Any]:
        key, which = self._key(), self._chance.random()
        if which < 0.5:
            return "read", [key, None]
        if which < 0.75 and key in self._seen:
            return "cas", [key, [self._seen[key], self._id()]]
        return "write", [key, self._id()]

    def _transaction(self) -> tuple[str, Any]:
        micro = []
        for _ in range(self._chance.randint(1, _TRANSACTION)):
            key = self._key()
            micro.append(["r", key, None] if self._chance.random() < 0.5 else ["append", key, self._id()])
        return "txn", micro

    def _bank(self) -> tuple[str, Any]:
        if self._chance.random() < 0.2:
            return "read", None
        source, target = self._chance.sample(range(1, _ACCOUNTS + 1), 2)
        return "transfer", {"from": source, "to": target, "amount": self._chance.randint(1, 5)}


def final_acts(workload: ClientWorkload, keys: Sequence[int]) -> Iterator[tuple[str, Any]]:
    """What is read when all is over; ``keys`` are those that were touched, where the workload has keys."""
    match workload:
        case ClientWorkload.REGISTER:
            yield from (("read", [key, None]) for key in keys)
        case ClientWorkload.LIST_APPEND:
            for first in range(0, len(keys), _FINAL_KEYS):
                yield "txn", [["r", key, None] for key in keys[first : first + _FINAL_KEYS]]
        case _:
            yield "read", None


def keys_of(f: str, value: Any) -> Iterator[int]:
    """The keys that an act touched."""
    if f == "txn":
        yield from (one[1] for one in value)
    elif isinstance(value, list) and len(value) == 2:
        yield value[0]
