"""What an engine knows of its driver's errors, and how such an error is told to people: the same way for every engine."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from dbre.core.errors import DbreError
from dbre.core.secrets import SecretUnavailable
from dbre.core.text import one_line
from dbre.core.units import format_duration
from dbre.ports.engine import Access, Verdict

__all__ = ["NO_ANSWER", "Faults"]

NO_ANSWER = "no answer in time"
"""Reason of a time that ran out; ``Faults.translate`` puts the limit in its place where it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """The errors of one driver and of the network below it."""

    product: str  # first word of messages: "PostgreSQL"
    driver_error: type[Exception]  # base of all that the driver raises
    code_name: str  # what the server's code is called in an error's context: "sqlstate"
    classify: Callable[[BaseException], Verdict | None]  # as the Engine protocol has it
    network_code: Callable[[BaseException], str]  # one word for a failure without a code of the server's
    kind: Callable[[BaseException, Verdict | None], tuple[type[DbreError], str | None]]  # which error of ours, and its hint
    judges_logins: bool = False  # classify blames a refused login as that of dbre's own user: see ports.heartbeat_probe

    @property
    def raised(self) -> tuple[type[Exception], ...]:
        """What to catch around everything that leaves the process."""
        return (self.driver_error, OSError)

    def may_pass(self, error: Exception) -> bool:
        """Whether asking again may help: the engine says so, and it is not that the time was used up."""
        verdict = self.classify(error)
        is_late = error.__cause__ is not None and self.network_code(error.__cause__) == "timeout"
        return verdict is not None and verdict.retryable and not is_late

    def code(self, error: BaseException) -> str:
        """The server's code, else one word for how the network failed."""
        verdict = self.classify(error)
        return (verdict.code if verdict else None) or self.network_code(error)

    def translate(self, error: BaseException, access: Access, *, limit_seconds: float | None = None) -> DbreError:
        """The error that a facet raises, with the address first; the password is taken out should a server echo it."""
        if isinstance(error, DbreError):
            return error
        verdict = self.classify(error)
        code = verdict.code if verdict else None
        reason = verdict.reason if verdict else one_line(str(error))
        if reason == NO_ANSWER and limit_seconds is not None:
            reason = f"no answer within {format_duration(limit_seconds)}"
        reason = _without_password(reason, access)
        kind, hint = self.kind(error, verdict)
        context = {"address": str(access.address), self.code_name: code, "user": access.user, "database": access.database}
        described = f"{reason} ({code})" if code else reason
        found = kind(f"{self.product} at {access.address}: {described}", hint=hint, context=context)
        found.__cause__ = error
        return found


def _without_password(text: str, access: Access) -> str:
    with contextlib.suppress(SecretUnavailable):  # what cannot be read now was not sent either
        if access.password is not None and (password := access.password.reveal()):
            return text.replace(password, "***")
    return text
