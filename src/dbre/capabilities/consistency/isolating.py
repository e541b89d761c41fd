"""Checkers of transactions: list-append and registers."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from dbre.capabilities.consistency.checker import Outcome, Question
from dbre.capabilities.consistency.found import Found
from dbre.capabilities.consistency.history import Call
from dbre.capabilities.consistency.isolation import IsolationModel, forbidden_by, isolation_model, weakest_excluded
from dbre.capabilities.consistency.summaries import TRANSACTIONS
from dbre.capabilities.consistency.transactions.list_append import AppendHistory
from dbre.capabilities.consistency.transactions.rw_register import RegisterHistory
from dbre.core.errors import Unsupported

if TYPE_CHECKING:
    from dbre.capabilities.consistency.graphs.judging import Judged

__all__ = ["Appending", "Registering"]

_History = TypeVar("_History", AppendHistory, RegisterHistory)

_MODELS = (IsolationModel.SERIALIZABLE, *(one for one in IsolationModel if one is not IsolationModel.SERIALIZABLE))
_NEED_SINGLE = {IsolationModel.CONSISTENT_VIEW, IsolationModel.PARALLEL_SNAPSHOT_ISOLATION}


class _OfTransactions(ABC, Generic[_History]):
    """What both have in common: a history that takes transactions in, and a graph that is judged."""

    models: ClassVar[Sequence[str]] = _MODELS
    _history: _History

    def add(self, call: Call) -> None:
        """Take in one transaction."""
        self._history.add(call)

    def judge(self, asked: Question, /) -> Outcome:
        """Raises: Unsupported without numpy and scipy."""
        try:
            judged = self._judged(asked)
        except ModuleNotFoundError as error:
            raise _missing(error) from error
        facts = {"keys": len(self._history.keys), "edges": judged.edges}
        return _outcome(self._history.found, isolation_model(asked.model), judged.no_graph, judged.no_single, facts)

    @abstractmethod
    def _judged(self, asked: Question) -> "Judged": ...


class Appending(_OfTransactions[AppendHistory]):
    """Transactions that read lists and append to them."""

    def __init__(self) -> None:
        self._history = AppendHistory()

    def _judged(self, asked: Question) -> "Judged":
        from dbre.capabilities.consistency.graphs.append_analysis import judge_appends

        return judge_appends(self._history, asked.limits, asked.budget)


class Registering(_OfTransactions[RegisterHistory]):
    """Transactions that read and write registers."""

    def __init__(self) -> None:
        self._history = RegisterHistory()

    def _judged(self, asked: Question) -> "Judged":
        from dbre.capabilities.consistency.graphs.register_analysis import judge_registers

        return judge_registers(self._history, asked.limits, asked.budget)


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
