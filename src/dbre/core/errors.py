"""The exception tree: every error has a stable code, a hint, an exit code, and says whether a retry may help."""

from collections.abc import Mapping
from enum import IntEnum
from typing import ClassVar

__all__ = [
    "Conflict",
    "DbreError",
    "Denied",
    "ExitCode",
    "PrecheckFailed",
    "Refused",
    "StoreError",
    "Unreachable",
    "Unsupported",
    "UsageError",
]


class ExitCode(IntEnum):
    """Exit codes of the command line, documented in ``dbre help exit-codes``."""

    OK = 0
    FAILED = 1
    USAGE = 2
    FINDINGS = 3
    DENIED = 4
    REFUSED = 5
    UNREACHABLE = 6
    CONFLICT = 7
    PENDING = 8
    NEEDS_OPERATOR = 9
    COMPENSATED = 10
    INTERRUPTED = 130


class DbreError(Exception):
    """Base of all errors that dbre raises on purpose.

    ``message`` says what and where, with numbers, units and limits; ``hint`` says what to do next; ``context`` holds the
    same facts as data. Neither may contain a secret. The original error, if any, is the ``__cause__``.
    """

    code: ClassVar[str] = "core.failed"
    exit_code: ClassVar[ExitCode] = ExitCode.FAILED
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str | None = None, context: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.context = dict(context or {})

    def as_document(self) -> dict[str, object]:
        """The JSON form that ``-o json`` prints on stderr and that the API answers with."""
        return {
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "context": self.context,
            "retryable": self.retryable,
        }


class UsageError(DbreError, ValueError):
    """Bad flags, bad configuration, bad document: nothing was begun.

    A ``ValueError`` too, so that pydantic takes it from a validator and the loader can say where the value stands.
    """

    code = "core.usage"
    exit_code = ExitCode.USAGE


class Denied(DbreError):
    """Not authenticated, or policy says no."""

    code = "core.denied"
    exit_code = ExitCode.DENIED


class Refused(DbreError):
    """A gate, guard or freeze refused; the hint names the override where there is one."""

    code = "core.refused"
    exit_code = ExitCode.REFUSED


class PrecheckFailed(Refused):
    """A read-only check before the act found a reason not to begin."""

    code = "core.precheck_failed"


class Unreachable(DbreError):
    """The target or the control plane did not answer in time."""

    code = "core.unreachable"
    exit_code = ExitCode.UNREACHABLE
    retryable = True


class Conflict(DbreError):
    """Somebody else holds the target, or the state changed since it was looked at."""

    code = "core.conflict"
    exit_code = ExitCode.CONFLICT


class Unsupported(DbreError):
    """The engine, version or privilege lacks what was asked for; the message says which and why."""

    code = "core.unsupported"
    exit_code = ExitCode.REFUSED


class StoreError(DbreError):
    """The state store cannot be opened, read or written."""

    code = "store.failed"
