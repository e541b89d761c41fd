"""The workloads that histories can be of, and which one a history looks like."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from dbre.capabilities.consistency.bank import Bank
from dbre.capabilities.consistency.checker import Checker
from dbre.capabilities.consistency.counter import Counter
from dbre.capabilities.consistency.errors import HistoryInvalid
from dbre.capabilities.consistency.history import Op
from dbre.capabilities.consistency.isolating import Appending, Registering
from dbre.capabilities.consistency.ledger_workload import Ledger
from dbre.capabilities.consistency.linearizing import Linearizing
from dbre.capabilities.consistency.long_fork import LongFork
from dbre.capabilities.consistency.monotonic import Monotonic
from dbre.capabilities.consistency.set_full import SetFull
from dbre.capabilities.consistency.unique_ids import UniqueIds
from dbre.core.errors import UsageError
from dbre.core.text import closest, quoted

__all__ = ["WORKLOADS", "BankTerms", "checker_of", "recognised"]

_LOOKED_AT = 5_000  # ops, until it is plain what they are


@dataclass(frozen=True, slots=True, kw_only=True)
class BankTerms:
    """What a history of a bank does not say itself."""

    total: int | None = None
    may_be_negative: bool = False


WORKLOADS: Mapping[str, Callable[[], Checker]] = {
    "list-append": Appending,
    "rw-register": Registering,
    "register": Linearizing,
    "bank": Bank,
    "set": SetFull,
    "counter": Counter,
    "long-fork": LongFork,
    "monotonic": Monotonic,
    "unique-ids": UniqueIds,
    "ledger": Ledger,
}
"""By name."""


def checker_of(workload: str, terms: BankTerms) -> Checker:
    """A new checker. Raises: UsageError with the names that there are."""
    if workload == "bank":
        return Bank(total=terms.total, may_be_negative=terms.may_be_negative)
    if workload not in WORKLOADS:
        near = closest(workload, list(WORKLOADS))
        raise UsageError(
            f"{quoted(workload, limit=60)} is no workload",
            hint=f"did you mean {near}?" if near else f"known: {', '.join(WORKLOADS)}",
        )
    if terms != BankTerms():
        raise UsageError(
            f"a total and negative balances are terms of a bank, and this is {workload}",
            hint="leave --total and --negative-balances out; --workload bank where it is one",
        )
    return WORKLOADS[workload]()


def recognised(history: Iterable[Op]) -> tuple[str, Iterator[Op]]:
    """The workload that a history looks like, and the whole history.

    Raises: HistoryInvalid where it could be several: long forks and the ledger look like others, and are asked for by name.
    """
    stream = iter(history)
    looked_at: list[Op] = []
    acts: set[str] = set()
    for op in itertools.islice(stream, _LOOKED_AT):
        looked_at.append(op)
        if isinstance(op.process, int):
            acts |= _acts(op)
    return _workload(acts), itertools.chain(looked_at, stream)


def _acts(op: Op) -> set[str]:
    if op.f == "txn" and isinstance(op.value, list):
        return {f"txn {one[0]}" for one in op.value if isinstance(one, list) and one and isinstance(one[0], str)}
    if op.f == "read" and isinstance(op.value, list) and len(op.value) != 2:
        return {"read", "read all"}
    return {op.f}


def _workload(acts: set[str]) -> str:
    if "txn append" in acts:
        return "list-append"
    if "txn w" in acts:
        return "rw-register"
    if "transfer" in acts:
        return "bank"
    if "generate" in acts:
        return "unique-ids"
    if "inc" in acts:
        return "monotonic"
    if "add" in acts and acts <= {"add", "read", "read all"}:
        return "set" if "read all" in acts else "counter"
    if acts & {"write", "cas"} and "read all" not in acts:
        return "register"
    if acts & {"write"}:
        return "ledger"
    named = ", ".join(sorted(quoted(one, limit=40) for one in list(acts)[:5])) or "no op of a client"
    raise HistoryInvalid(f"it is not plain what workload this is: {named}", hint=f"name it: --workload {' | '.join(WORKLOADS)}")
