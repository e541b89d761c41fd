"""The question before an act: none, y/N, or the target's name, by how much may go wrong."""

import signal
import sys
from types import FrameType

from dbre.cli.acting_flags import ActingFlags
from dbre.core.errors import Refused
from dbre.core.operation.errors import ConfirmationMissing
from dbre.core.operation.plan import PlannedOperation, Risk
from dbre.core.text import printable, quoted

__all__ = ["Declined", "confirm"]


class Declined(Refused):
    """The person who was asked said no."""

    code = "operation.declined"


def confirm(planned: PlannedOperation, flags: ActingFlags) -> str | None:
    """Ask if the act is to be asked about; gives the name that confirms a severe one.

    Raises: ConfirmationMissing where nobody can be asked, naming the flag that answers; Declined for any answer but yes.
    """
    plan = planned.plan
    if plan.risk is Risk.SEVERE:
        return _name(planned, flags)
    if plan.risk is not Risk.MODERATE or not plan.steps or flags.yes or flags.plan_hash is not None:
        return flags.confirm
    if not _can_ask(flags):
        raise ConfirmationMissing(
            f"{planned.kind} on {printable(plan.target, limit=200)} asks before it acts, and nobody can be asked here",
            hint="--yes, or --plan-hash with the hash that --dry-run shows",
        )
    if _ask("act? [y/N] ").strip().lower() not in ("y", "yes"):
        raise Declined("nothing was done", hint="--dry-run shows the plan alone")
    return flags.confirm


def _name(planned: PlannedOperation, flags: ActingFlags) -> str:
    wanted = planned.plan.confirmation
    given = flags.confirm
    if given is None:
        if not _can_ask(flags):
            raise ConfirmationMissing(
                f"{planned.kind} on {printable(planned.plan.target, limit=200)} is severe, and nobody can be asked here",
                hint=f"--confirm {printable(wanted, limit=100)}; --yes is not enough",
                context={"confirm": wanted},
            )
        given = _ask(f"this is severe: type {printable(wanted, limit=100)} to act: ").strip()
    if given != wanted:
        raise ConfirmationMissing(
            f"{quoted(given, limit=100)} is not {quoted(wanted, limit=100)}: nothing was done",
            hint=f"--confirm {printable(wanted, limit=100)}",
            context={"confirm": wanted},
        )
    return given


def _can_ask(flags: ActingFlags) -> bool:
    return not flags.no_input and sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def _ask(question: str) -> str:
    """Read one line; Ctrl-C ends the command although an event loop has taken the signal."""
    previous = signal.signal(signal.SIGINT, _interrupted)
    try:
        sys.stderr.write(question)
        sys.stderr.flush()
        return sys.stdin.readline()
    finally:
        signal.signal(signal.SIGINT, previous)


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    sys.stderr.write("\n")
    raise KeyboardInterrupt
