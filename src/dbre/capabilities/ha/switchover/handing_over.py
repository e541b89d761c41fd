"""Who makes another instance the primary where dbre does not do it step by step: what manages the cluster."""

from collections.abc import Sequence
from typing import Protocol

from dbre.capabilities.ha.switchover.checks import PreCheck
from dbre.core.fleet import Cluster, Instance

__all__ = ["HandOver"]


class HandOver(Protocol):
    """One act that changes the primary as a whole: it happens, or the old primary goes on.

    ``SwitchoverGround.hand_over_of`` chooses one for a cluster by its configuration; the operation then pauses the routes,
    calls ``run``, turns the routes, and verifies with the servers themselves.
    """

    @property
    def name(self) -> str:
        """Who does it, for people: Patroni."""
        ...

    @property
    def why_slow(self) -> str | None:
        """What a person should know of its time, for the plan; None: nothing."""
        ...

    @property
    def sets(self) -> frozenset[str]:
        """Settings of the servers that it sets by itself, and differently on the primary: no difference to warn of."""
        ...

    async def check(self, cluster: Cluster, old: Instance, new: Instance) -> Sequence[PreCheck]:
        """What speaks for and against it, only looked at. Raises: nothing; who does not answer is a check that is not met."""
        ...

    async def run(self, cluster: Cluster, old: Instance, new: Instance, *, limit_seconds: float) -> None:
        """Do it, and return once the new primary takes writes. May be called again after a crash.

        Raises: DbreError that is no Unreachable where it did not happen and will not; Unreachable, OutcomeUnknown, TimeoutError
        where nobody can tell: then ``has_happened`` is asked.
        """
        ...

    async def has_happened(self, cluster: Cluster, old: Instance, new: Instance) -> bool | None:
        """Whether ``new`` is the primary now; None: it is under way, or nobody can tell."""
        ...
