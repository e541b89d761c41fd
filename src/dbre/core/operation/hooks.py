"""Where tests stand beside the runner: before and after each commit of the journal."""

from typing import Protocol

__all__ = ["JournalHooks", "NoHooks"]


class JournalHooks(Protocol):
    """Told of each commit that the runner makes; a test may end the process there."""

    async def before(self, commit: str) -> None:
        """A transaction is about to begin; ``commit`` says what it will hold."""
        ...

    async def after(self, commit: str) -> None:
        """The store has confirmed it."""
        ...


class NoHooks:
    """Nobody is told."""

    async def before(self, commit: str) -> None:
        """Do nothing."""

    async def after(self, commit: str) -> None:
        """Do nothing."""
