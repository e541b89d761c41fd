"""What a command that acts returns: the command-line floor plans it, shows it, asks, submits and follows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dbre.core.operation.model import OperationRecord
from dbre.core.operation.plan import PlannedOperation
from dbre.core.view import View

__all__ = ["Act"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """An operation that the user asked for, with the flags that all acting commands share still to be applied."""

    kind: str  # settings.apply
    input: Mapping[str, Any]  # what the operation's document validates
    view: Callable[[OperationRecord], View] | None = None  # how its success is shown; None: as `dbre op show` does
    planned: PlannedOperation | None = None  # run exactly this plan, and end with 7 if it would be another one now
    reason: str | None = None  # where the user gives none
