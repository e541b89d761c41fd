"""How a restore tells how far it is."""

from collections.abc import Awaitable, Callable

from dbre.ports.backup.engine import CopyProgress

__all__ = ["Tell", "progress_of"]

Tell = Callable[[str, int, int | None], Awaitable[None]]
"""Called now and then with the name of the phase, bytes done, and bytes in all (None: not known); it may raise."""


def progress_of(tell: Tell | None, phase: str, *, before: int = 0, total: int | None = None) -> CopyProgress:
    """The progress of one part of a phase as progress of the phase."""

    async def progress(done: int, of: int | None) -> None:
        if tell is not None:
            await tell(phase, before + done, total if total is not None else of)

    return progress
