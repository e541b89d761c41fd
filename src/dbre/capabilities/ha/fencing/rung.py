"""One rung of a fencing ladder: it acts, and it confirms; what is only claimed is not fenced."""

from dataclasses import dataclass
from typing import Protocol

from dbre.core.errors import DbreError, ExitCode

__all__ = ["Act", "Agent", "Confirmation", "FenceFailed", "Rung"]


class FenceFailed(DbreError):
    """No rung could be confirmed: the old primary may still take writes, so nothing may be promoted."""

    code = "ha.fence_failed"
    exit_code = ExitCode.NEEDS_OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What a rung did."""

    done: str
    is_ours: bool = True  # False: there was nothing to do, so there is nothing to take back


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """Whether the server certainly acknowledges no write any more, and how that is known."""

    is_fenced: bool
    seen: str


class Agent(Protocol):
    """Whoever starts a server again that somebody else stopped, such as Patroni beside it."""

    async def end(self) -> str | None:
        """End it where it is frozen, and say so; None: it was not there. Raises: FenceFailed where it lives."""
        ...

    async def left(self) -> str | None:
        """What is left of it; None: nothing, so the server stays stopped."""
        ...


class Rung(Protocol):
    """One way to fence one server. Everything is idempotent."""

    @property
    def name(self) -> str:
        """``control``, ``network``, ``command``, ``self_fence``."""
        ...

    @property
    def ends_agent(self) -> bool:
        """Whether it is to take away an agent that runs, too, because it takes the machine away."""
        ...

    async def stands(self) -> bool:
        """Whether there is anything that it would stop or cut off: only that can be taken back. Raises: DbreError."""
        ...

    async def fence(self) -> Act:
        """Act, and say what was done. Raises: DbreError where it cannot; it may have done half of it then."""
        ...

    async def confirm(self) -> Confirmation:
        """Look, without acting. Raises: DbreError where it cannot be seen."""
        ...

    async def release(self) -> str | None:
        """Take back what was ours, because nothing was promoted; None where that is for a person. Raises: DbreError."""
        ...
