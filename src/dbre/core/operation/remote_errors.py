"""Errors that a control plane answered with, as the classes that its desk raised."""

from collections.abc import Iterator, Mapping
from typing import Any

from dbre.core.errors import Conflict, DbreError, Denied, ExitCode, Refused, Unreachable, UsageError
from dbre.core.text import printable

__all__ = ["error_of"]

_BASES: Mapping[ExitCode, type[DbreError]] = {
    ExitCode.USAGE: UsageError,
    ExitCode.DENIED: Denied,
    ExitCode.REFUSED: Refused,
    ExitCode.UNREACHABLE: Unreachable,
    ExitCode.CONFLICT: Conflict,
}
_STATUSES = {
    400: ExitCode.USAGE,
    401: ExitCode.DENIED,
    403: ExitCode.DENIED,
    404: ExitCode.USAGE,
    409: ExitCode.REFUSED,
    413: ExitCode.USAGE,
    422: ExitCode.USAGE,
    429: ExitCode.UNREACHABLE,
    503: ExitCode.UNREACHABLE,
}


_LINES = 20


def error_of(status: int, problem: Mapping[str, Any]) -> DbreError:
    """The error of a problem document: same code, same exit code; the same class where this process knows it."""
    code = str(problem.get("code") or f"web.http_{status}")
    said = str(problem.get("message") or f"the control plane answers {status}")
    message = "\n".join(printable(line) for line in said.split("\n")[:_LINES])  # a difference of plans has a line for each
    hint = problem.get("hint")
    context = problem.get("context")
    exit_code = _exit_code(status, problem.get("exit_code"))
    known = next((one for one in _every(DbreError) if vars(one).get("code") == code and one.exit_code == exit_code), None)
    kind = known or _made(code, exit_code, is_retryable=problem.get("retryable") is True)
    return kind(
        message,
        hint=printable(hint) if isinstance(hint, str) else None,
        context=context if isinstance(context, dict) else None,
    )


def _exit_code(status: int, given: Any) -> ExitCode:
    if isinstance(given, int) and given in set(ExitCode) and given != ExitCode.OK:
        return ExitCode(given)
    return _STATUSES.get(status, ExitCode.FAILED)


def _made(code: str, exit_code: ExitCode, *, is_retryable: bool) -> type[DbreError]:
    base = _BASES.get(exit_code, DbreError)
    return type("RemoteError", (base,), {"code": code, "exit_code": exit_code, "retryable": is_retryable, "__doc__": code})


def _every(kind: type[DbreError]) -> Iterator[type[DbreError]]:
    for one in kind.__subclasses__():
        if one.__name__ != "RemoteError":
            yield one
            yield from _every(one)
