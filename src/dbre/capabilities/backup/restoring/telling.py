"""How a restore tells how far it is."""

from collections.abc import Awaitable, Callable

from dbre.core.text import printable
from dbre.ports.backup.engine import CopyProgress
from dbre.ports.backup.model import RecoveryOutcome

__all__ = ["Tell", "ending_words", "progress_of"]

Tell = Callable[[str, int, int | None], Awaitable[None]]
"""Called now and then with the name of the phase, bytes done, and bytes in all (None: not known); it may raise."""


def ending_words(outcome: RecoveryOutcome) -> str:
    """Where recovery ended and why there; servers call the end of a log an invalid record."""
    where = f" at {outcome.position.text}" if outcome.position is not None else ""
    end = "" if outcome.has_reached_target else ", the end of the log that there is"
    return f"recovery ended{where}{end}: {printable(outcome.reason, limit=300)}"


def progress_of(tell: Tell | None, phase: str, *, before: int = 0, total: int | None = None) -> CopyProgress:
    """The progress of one part of a phase as progress of the phase."""

    async def progress(done: int, of: int | None) -> None:
        if tell is not None:
            await tell(phase, before + done, total if total is not None else of)

    return progress
