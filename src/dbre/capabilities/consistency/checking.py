"""A history in, a verdict out: what the command line, drills and experiments call."""

from collections.abc import Iterable, Iterator

from dbre.capabilities.consistency.checker import Question
from dbre.capabilities.consistency.errors import HistoryInvalid
from dbre.capabilities.consistency.history import Call, Op, OpType
from dbre.capabilities.consistency.pairing import calls_of
from dbre.capabilities.consistency.report import Budget, Limits, Report, verdict_of
from dbre.capabilities.consistency.workloads import BankTerms, checker_of, recognised
from dbre.core.errors import UsageError
from dbre.core.text import closest, quoted

__all__ = ["check_history"]


def check_history(
    history: Iterable[Op],
    *,
    workload: str | None = None,
    model: str | None = None,
    limits: Limits | None = None,
    terms: BankTerms | None = None,
) -> Report:
    """Judge a history. It is read once, and what is kept of it is small.

    ``workload`` is recognised where it is None, and ``model`` is then what the workload usually promises.
    Raises: HistoryInvalid, UsageError for an unknown name, Unsupported where an extra is not installed.
    """
    limits = limits or Limits()
    if workload is None:
        workload, history = recognised(history)
    checker = checker_of(workload, terms or BankTerms())
    promised = _model(workload, checker.models, model)
    counts = dict.fromkeys(OpType, 0)
    for call in _counted(calls_of(history, most=limits.ops), counts):
        checker.add(call)
    if not any(counts.values()):
        raise HistoryInvalid("the history holds no call of a client", hint="a call is an op of a process that is a number")
    outcome = checker.judge(Question(model=promised, limits=limits, budget=Budget(limits.seconds)))
    unknown = list(outcome.unknown)
    if not counts[OpType.OK]:
        unknown.append("no call was answered ok: nothing was shown")
    return Report(
        workload=workload,
        model=promised,
        verdict=verdict_of(outcome.anomalies, unknown),
        calls=sum(counts.values()),
        ok_calls=counts[OpType.OK],
        unknown_calls=counts[OpType.INFO],
        failed_calls=counts[OpType.FAIL],
        anomalies=outcome.anomalies,
        unknown=unknown,
        excluded=outcome.excluded,
        facts=outcome.facts,
    )


def _counted(calls: Iterator[Call], counts: dict[OpType, int]) -> Iterator[Call]:
    for call in calls:
        counts[call.type] += 1
        yield call


def _model(workload: str, models: Iterable[str], asked: str | None) -> str:
    known = [str(one) for one in models]
    if asked is None:
        return known[0]
    if asked not in known:
        near = closest(asked, known)
        raise UsageError(
            f"{quoted(asked, limit=60)} is no model of workload {workload}",
            hint=f"did you mean {near}?" if near else f"known: {', '.join(known)}",
        )
    return asked
