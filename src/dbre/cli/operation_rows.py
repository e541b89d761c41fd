"""Operations as rows of a table, and as one line for a monitoring plugin."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dbre.core.view import Column, PluginState, PluginStatus, Row

if TYPE_CHECKING:  # for annotations only: root help must stay cheap
    from datetime import datetime

    from dbre.core.operation.desk import OperationDesk
    from dbre.core.operation.model import OperationRecord
    from dbre.core.operation.states import OperationState

__all__ = ["COLUMNS", "MOST_LISTED", "operation_row", "plugin_status", "states_named"]

MOST_LISTED = 500
_LONG_HOLD_SECONDS = 3600


def _ago(value: object) -> str:
    from dbre.core.units import format_duration

    return format_duration(value, parts=1) if isinstance(value, int | float) else "-"


COLUMNS = (
    Column(key="id", title="ID"),
    Column(key="state", title="STATE", format=lambda value: str(value).replace("_", " ")),
    Column(key="operation", title="OPERATION"),
    Column(key="target", title="TARGET"),
    Column(key="requested_by", title="BY"),
    Column(key="age_seconds", title="AGE", format=_ago, right=True),
    Column(key="waits_for", title="WAITS FOR"),
    Column(key="summary", title="SUMMARY", wide=True),
    Column(key="created_at", title="CREATED", wide=True),
    Column(key="ended_at", title="ENDED", wide=True),
    Column(key="exit_code", title="EXIT", right=True, wide=True),
)


def operation_row(record: "OperationRecord", now: "datetime") -> Row:
    """An operation without its plan and journal, with its age and what it waits for."""
    from dbre.cli.operation_text import waiting_text
    from dbre.core.operation.documents import operation_document

    waits = waiting_text(record)
    facts: dict[str, Any] = operation_document(record)
    for name in ("plan", "steps", "approvals", "overrides", "gates", "resolutions"):
        del facts[name]
    return facts | {"age_seconds": max((now - record.created_at).total_seconds(), 0.0), "waits_for": waits}


def states_named(words: Sequence[str]) -> "tuple[OperationState, ...]":
    """States as people name them; ``open`` is every state that something leaves. Raises: UsageError with a did-you-mean."""
    from dbre.core.errors import UsageError
    from dbre.core.operation.states import FINAL, OperationState
    from dbre.core.text import closest, quoted

    found: list[OperationState] = []
    for word in words:
        name = word.replace("-", "_").replace(" ", "_")
        if name == "open":
            found += [one for one in OperationState if one not in FINAL]
        elif name in set(OperationState):
            found.append(OperationState(name))
        else:
            near = closest(name, [*OperationState, "open"])
            hint = f"did you mean {near}?" if near else f"open, {', '.join(OperationState)}"
            raise UsageError(f"{quoted(word, limit=60)} is no state of an operation", hint=hint)
    return tuple(found)


async def plugin_status(desk: "OperationDesk", now: "datetime") -> PluginStatus:
    """Whether somebody has to look: for the whole store, whatever the list was filtered by."""
    from dbre.core.operation.desk import OperationFilter
    from dbre.core.operation.states import OperationState as State
    from dbre.core.text import counted

    lost = await desk.list(OperationFilter(states=(State.NEEDS_OPERATOR,), limit=MOST_LISTED))
    if lost:
        shown = ", ".join(str(one.id) for one in lost[:3])
        return PluginStatus(
            state=PluginState.CRITICAL, text=f"{counted(len(lost), 'operation')} that need an operator: {shown}"
        )
    waiting = await desk.list(OperationFilter(states=(State.QUEUED, State.PAUSED, State.AWAITING_APPROVAL), limit=MOST_LISTED))
    long = [one for one in waiting if _waits_since(one) is not None and _age(_waits_since(one), now) > _LONG_HOLD_SECONDS]
    if long:
        shown = ", ".join(str(one.id) for one in long[:3])
        return PluginStatus(
            state=PluginState.WARNING, text=f"{counted(len(long), 'operation')} waits for over an hour: {shown}"
        )
    return PluginStatus(state=PluginState.OK, text=f"{counted(len(waiting), 'operation')} waiting, none needs an operator")


def _waits_since(record: "OperationRecord") -> "datetime | None":
    from dbre.core.operation.states import OperationState

    if record.hold is not None:
        return record.hold.since
    return record.created_at if record.state is OperationState.AWAITING_APPROVAL else None


def _age(since: "datetime | None", now: "datetime") -> float:
    return (now - since).total_seconds() if since is not None else 0.0
