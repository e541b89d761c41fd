"""Histories made in tests: of stores that keep little, some or all, and what is right by brute force."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from dbre.capabilities.consistency.checking import check_history
from dbre.capabilities.consistency.history import Call, Op, OpType
from dbre.capabilities.consistency.pairing import calls_of
from dbre.capabilities.consistency.report import Report

MicroOps = list[list[Any]]


def op(kind: str, process: int, f: str, value: Any = None, node: str | None = None) -> Op:
    return Op(type=OpType(kind), process=process, f=f, value=value, node=node)


def serial(*transactions: MicroOps) -> list[Op]:
    """Transactions that were all open at once, so that time says nothing of their order."""
    calls = [op("invoke", process, "txn", value) for process, value in enumerate(transactions)]
    return calls + [op("ok", process, "txn", value) for process, value in enumerate(transactions)]


def one_by_one(*transactions: MicroOps, process: int | None = None) -> list[Op]:
    """Transactions of which each ended before the next began."""
    return [
        op(kind, number if process is None else process, "txn", value)
        for number, value in enumerate(transactions)
        for kind in ("invoke", "ok")
    ]


def names(report: Report) -> set[str]:
    return {one.name for one in report.anomalies}


def judged(history: Sequence[Op], model: str | None = None, **given: Any) -> Report:
    return check_history(history, model=model, **given)


@dataclass(kw_only=True)
class Store:
    """Lists by key. ``level`` says when transactions see and install: ``atomic``, ``snapshot`` or ``none``."""

    level: str
    lists: dict[str, list[int]] = field(default_factory=dict)
    newest: int = 0


def history_of(chance: Random, store: Store, *, transactions: int, clients: int = 3, keys: str = "xy") -> list[Op]:
    """Transactions of some clients, interleaved by chance. Some fail, and of some nobody learns what became of them."""
    history: list[Op] = []
    running: dict[int, _Running] = {}
    begun, process = 0, 0
    while begun < transactions or running:
        if begun < transactions and len(running) < clients and chance.random() < 0.5:
            acts = [(chance.choice(["r", "append"]), chance.choice(keys)) for _ in range(chance.randint(1, 3))]
            running[process] = _Running(store, acts)
            history.append(op("invoke", process, "txn", [[act, key, value] for act, key, value in running[process].asked]))
            process, begun = process + 1, begun + 1
        elif running:
            one = chance.choice(sorted(running))
            if (answer := running[one].step(chance)) is not None:
                history.append(op(answer, one, "txn", running[one].done if answer == "ok" else running[one].asked))
                del running[one]
    last = [["r", key, list(store.lists.get(key, []))] for key in keys]
    return [*history, op("invoke", process, "txn", last), op("ok", process, "txn", last)]


class _Running:
    """One transaction; what it asked for gets its elements at once, so that calls and answers agree."""

    def __init__(self, store: Store, acts: list[tuple[str, str]]) -> None:
        self.store, self.place, self.done = store, 0, []
        self.asked: MicroOps = []
        for act, key in acts:
            store.newest += act == "append"
            self.asked.append([act, key, store.newest if act == "append" else None])
        self.begin_lengths: dict[str, int] | None = None
        self.snapshot: dict[str, list[int]] | None = None

    def step(self, chance: Random) -> str | None:
        """One act, or all of them; what the client is told where this was the last."""
        if chance.random() < 0.1 and self.place == 0:
            return chance.choice(["fail", "info"])  # nothing was done
        if self.store.level == "snapshot" and self.snapshot is None:
            self.snapshot = {key: list(one) for key, one in self.store.lists.items()}
            return None
        if self.store.level == "snapshot":
            return self._commit_snapshot(chance)
        for _ in range(len(self.asked) if self.store.level == "atomic" else 1):
            self._act(self.store.lists)
        if self.place < len(self.asked):
            return None
        return "info" if chance.random() < 0.1 else "ok"

    def _act(self, lists: dict[str, list[int]]) -> None:
        act, key, value = self.asked[self.place]
        if act == "append":
            lists.setdefault(key, []).append(value)
        self.done.append([act, key, list(lists.get(key, [])) if act == "r" else value])
        self.place += 1

    def _commit_snapshot(self, chance: Random) -> str:
        assert self.snapshot is not None
        before = {key: len(one) for key, one in self.snapshot.items()}
        written = {key for act, key, _ in self.asked if act == "append"}
        if any(len(self.store.lists.get(key, [])) != before.get(key, 0) for key in written):
            return "fail"  # the first committer wins
        while self.place < len(self.asked):
            self._act(self.snapshot)
        for key in written:
            self.store.lists[key] = self.snapshot[key]
        return "info" if chance.random() < 0.1 else "ok"


def transactions_of(history: Sequence[Op]) -> list[Call]:
    return [one for one in calls_of(history, most=1000) if one.type is not OpType.FAIL]


def replayed(micro_ops: MicroOps, before: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]] | None:
    """The lists after a transaction that sees only ``before`` and itself; None where it read something else."""
    lists = dict(before)
    for act, key, value in micro_ops:
        if act == "append":
            lists[key] = (*lists.get(key, ()), value)
        elif list(lists.get(key, ())) != (value or []):
            return None
    return lists


def is_serializable(history: Sequence[Op], *, in_real_time: bool) -> bool:
    """By trying every order; transactions without an answer may be in it or not, and nobody knows what they read."""
    calls = transactions_of(history)

    def goes_on(left: frozenset[int], lists: dict[str, tuple[int, ...]]) -> bool:
        if all(calls[one].type is not OpType.OK for one in left):
            return True
        for one in left:
            call = calls[one]
            if in_real_time and any(
                calls[other].type is OpType.OK and calls[other].ended < call.began for other in left if other != one
            ):
                continue
            after = replayed(_known(call), lists)
            if after is not None and goes_on(left - {one}, after):
                return True
        return False

    return goes_on(frozenset(range(len(calls))), {})


def is_snapshot_isolated(history: Sequence[Op]) -> bool:
    """By trying every order of begins and commits: reads see what was committed at the begin, the first committer wins."""
    calls = transactions_of(history)

    def goes_on(waiting: frozenset[int], open_: Mapping[int, Mapping[str, tuple[int, ...]]], lists: Any) -> bool:
        if not open_ and all(calls[one].type is not OpType.OK for one in waiting):
            return True
        for one, begun in open_.items():
            written = {key for act, key, _ in calls[one].value if act == "append"}
            if any(lists.get(key, ()) != begun.get(key, ()) for key in written):
                continue
            after = replayed(_known(calls[one]), begun) or {}
            installed = {**lists, **{key: after[key] for key in written}}
            if goes_on(waiting, {other: at for other, at in open_.items() if other != one}, installed):
                return True
        return any(
            replayed(_known(calls[one]), lists) is not None and goes_on(waiting - {one}, {**open_, one: lists}, lists)
            for one in waiting
        )

    return goes_on(frozenset(range(len(calls))), {}, {})


def _known(call: Call) -> MicroOps:
    return call.value if call.type is OpType.OK else [one for one in call.value if one[0] == "append"]


def interleaved(chance: Random, calls: Sequence[tuple[str, str, Any, Any]], *, clients: int) -> Iterator[Op]:
    """Calls ``(kind of answer, f, asked, answered)`` in order of their begin, each open for a while."""
    waiting: list[tuple[int, tuple[str, str, Any, Any]]] = []
    left, process = list(calls), 0
    while left or waiting:
        if left and len(waiting) < clients and (not waiting or chance.random() < 0.5):
            call = left.pop(0)
            yield op("invoke", process, call[1], call[2])
            waiting.append((process, call))
            process += 1
        else:
            one, call = waiting.pop(chance.randrange(len(waiting)))
            yield op(call[0], one, call[1], call[3])
