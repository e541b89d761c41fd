"""What became of one phase of one step, as its worker saw it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dbre.core.errors import DbreError, StoreError, Unreachable
from dbre.core.operation.definition import OutcomeUnknown
from dbre.core.telemetry.redaction import clean, redact_text
from dbre.core.text import printable

__all__ = ["NOT_HAPPENED", "UNDOING", "Ending", "Outcome", "error_document", "is_definite"]

NOT_HAPPENED = "operation.not_happened"
"""The code where a probe found that a step did not happen."""

UNDOING = "while_undoing"
"""The key of an operation's error that says: it stopped while it was undone, and goes on so."""


class Ending(StrEnum):
    """How it ended."""

    DONE = "done"
    FAILED = "failed"  # it did not happen, or in vain
    UNKNOWN = "unknown"  # nobody can tell


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One phase of one step, ended."""

    ending: Ending
    result: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None
    is_recovered: bool = False  # a probe found that it had happened
    stopped: str | None = None  # why it was ended early: cancelled, deadline, a gate
    still_runs: bool = False  # it ignores that it was cancelled, so nothing may be done beside it
    tries: int = 0
    progress: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()


def is_definite(error: BaseException) -> bool:
    """Whether the error says that the step did not happen: dbre's own do, unless of a connection or the state store.

    A timeout, a lost connection and a defect of the program say nothing: the effect may have come about.
    """
    return isinstance(error, DbreError) and not isinstance(error, Unreachable | StoreError)


def error_document(error: BaseException) -> dict[str, Any]:
    """The error as the journal keeps it: without secrets, short."""
    if isinstance(error, DbreError):
        document = {**error.as_document(), "context": dict(list(error.context.items())[:20])}
        return {str(key): value for key, value in _cleaned(document).items()}
    code = "operation.outcome_unknown" if isinstance(error, OutcomeUnknown) else "operation.step_failed"
    text = printable(redact_text(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__), limit=1000)
    return {"code": code, "message": text, "hint": None, "context": {}, "retryable": False}


def _cleaned(document: Mapping[str, Any]) -> Mapping[str, Any]:
    shown = clean(document)
    return shown if isinstance(shown, Mapping) else {}
