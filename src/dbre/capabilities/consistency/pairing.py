"""Calls paired with their answers, as they stream by; what is still open at the end is open for ever."""

from collections.abc import Iterable, Iterator

from dbre.capabilities.consistency.errors import HistoryInvalid, HistoryTooLarge
from dbre.capabilities.consistency.history import Call, Op, OpType
from dbre.core.text import counted, quoted

__all__ = ["calls_of"]

_NAME_LIMIT = 60
_PROCESSES = 1 << 63  # numbers below it fit into the columns in which calls are kept


def calls_of(history: Iterable[Op], *, most: int) -> Iterator[Call]:
    """Every call of a client in the order of the answers, then those without an answer in the order of the calls.

    Ops of processes that are no number are left out: they are faults that somebody injected, not clients.

    Raises: HistoryInvalid where an answer has no call, or a process calls twice at once. HistoryTooLarge beyond ``most`` ops.
    """
    pending: dict[int, tuple[int, Op]] = {}
    for place, op in enumerate(history):
        if place >= most:
            raise HistoryTooLarge(
                f"the history has more than {counted(most, 'op')}", hint="raise --max-ops, or cut the history"
            )
        process = op.process
        if type(process) is not int:
            continue
        if not -_PROCESSES <= process < _PROCESSES:
            raise HistoryInvalid(f"op {place}: process {process} is no number of a client", hint="it takes 64 bits at most")
        if op.type is OpType.INVOKE:
            if process in pending:
                raise HistoryInvalid(
                    f"op {place}: process {process} calls while its call at op {pending[process][0]} is unanswered",
                    hint="a process does one thing at a time; after an unknown outcome it goes on under a new number",
                )
            pending[process] = place, op
            continue
        began = pending.pop(process, None)
        if began is None:
            raise HistoryInvalid(
                f"op {place}: process {process} got {op.type.value} without having called",
                hint="each answer needs an invoke of the same process before it",
            )
        yield _paired(began, place, op)
    for process, (place, op) in pending.items():
        yield Call(
            type=OpType.INFO,
            process=process,
            f=op.f,
            value=op.value,
            asked=op.value,
            began=place,
            ended=None,
            node=op.node,
        )


def _paired(began: tuple[int, Op], place: int, op: Op) -> Call:
    called_at, call = began
    if op.f != call.f:
        raise HistoryInvalid(
            f"op {place}: process {op.process} was answered {quoted(op.f, limit=_NAME_LIMIT)}, "
            f"but called {quoted(call.f, limit=_NAME_LIMIT)} at op {called_at}",
            hint="an answer has the f of its call",
        )
    return Call(
        type=op.type,
        process=call.process if isinstance(call.process, int) else 0,
        f=call.f,
        value=op.value if op.type is OpType.OK else call.value,
        asked=call.value,
        began=called_at,
        ended=place,
        node=op.node if op.node is not None else call.node,
    )
