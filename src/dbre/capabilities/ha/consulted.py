"""Who is asked beside the databases, because it chooses their primary: Patroni with its store, Sentinels."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from dbre.capabilities.ha.model import Topology
from dbre.capabilities.ha.verdict import Lease
from dbre.core.checks import Finding
from dbre.core.view import Row

__all__ = ["Consult", "Consulted"]


class Consulted(Protocol):
    """What was said in one round."""

    def findings(self, topology: Topology) -> list[Finding]:
        """What is wrong where it and the databases do not say the same, or where it could not choose."""
        ...

    def lease(self, topology: Topology) -> Lease | None:
        """The lease as a verdict weighs it; None where there is none."""
        ...

    def holder(self) -> str | None:
        """Who is the primary by its word, or was when it last knew, by the name in the inventory; None: it names nobody."""
        ...

    def document(self) -> Row:
        """All of it, for a program."""
        ...

    def lines(self) -> Sequence[str]:
        """A few lines, for people."""
        ...


Consult = Callable[[], Awaitable[Consulted]]
