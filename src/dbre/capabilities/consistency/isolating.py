"""Checkers of transactions: list-append and registers."""

from collections.abc import Sequence
from typing import ClassVar

from dbre.capabilities.consistency.checker import Outcome, Question
from dbre.capabilities.consistency.found import Found
from dbre.capabilities.consistency.history import Call
from dbre.capabilities.consistency.isolation import IsolationModel, forbidden_by, isolation_model, weakest_excluded
from dbre.capabilities.consistency.summaries import TRANSACTIONS
from dbre.capabilities.consistency.transactions.list_append import AppendHistory
from dbre.capabilities.consistency.transactions.rw_register import RegisterHistory
from dbre.core.errors import Unsupported

__all__ = ["Appending", "Registering"]

_MODELS = (IsolationModel.SERIALIZABLE, *(one for one in IsolationModel if one is not IsolationModel.SERIALIZABLE))
_NEED_SINGLE = {IsolationModel.CONSISTENT_VIEW, IsolationModel.PARALLEL_SNAPSHOT_ISOLATION}


class Appending:
    """Transactions that read lists and append to them."""

    models: ClassVar[Sequence[str]] = _MODELS

    def __init__(self) -> None:
        self._history = AppendHistory()

    def add(self, call: Call) -> None:
        """Take in one transaction."""
        self._history.add(call)

    def judge(self, asked: Question, /) -> Outcome:
        """Raises: Unsupported without numpy and scipy."""
        try:
            from dbre.capabilities.consistency.graphs.append_analysis import judge_appends
        except ModuleNotFoundError as error:
            raise _missing(error) from error
        judged = judge_appends(self._history, asked.limits, asked.budget)
        facts = {"keys": len(self._history.keys), "edges": judged.edges}
        return _outcome(self._history.found, isolation_model(asked.model), judged.no_graph, judged.no_single, facts)


class Registering:
    """Transactions that read and write registers."""

    models: ClassVar[Sequence[str]] = _MODELS

    def __init__(self) -> None:
        self._history = RegisterHistory()

    def add(self, call: Call) -> None:
        """Take in one transaction."""
        self._history.add(call)

    def judge(self, asked: Question, /) -> Outcome:
        """Raises: Unsupported without numpy and scipy."""
        try:
            from dbre.capabilities.consistency.graphs.register_analysis import judge_registers
        except ModuleNotFoundError as error:
            raise _missing(error) from error
        judged = judge_registers(self._history, asked.limits, asked.budget)
        facts = {"keys": len(self._history.keys), "edges": judged.edges}
        return _outcome(self._history.found, isolation_model(asked.model), judged.no_graph, judged.no_single, facts)


def _outcome(
    found: Found, model: IsolationModel, no_graph: str | None, no_single: str | None, facts: dict[str, int]
) -> Outcome:
    unknown = [no_graph] if no_graph else []
    if no_single and model in _NEED_SINGLE:
        unknown.append(no_single)
    return Outcome(
        anomalies=found.anomalies(lambda name: forbidden_by(model, name), TRANSACTIONS),
        unknown=unknown,
        excluded=[one.value for one in weakest_excluded(set(found.counts))],
        facts=facts,
    )


def _missing(error: ModuleNotFoundError) -> Exception:
    if error.name is None or error.name.split(".")[0] not in {"numpy", "scipy"}:
        return error
    return Unsupported(
        f"checking transactions needs the Python package {error.name}, which is not installed",
        hint="pip install 'dbre[check]'",
    )
