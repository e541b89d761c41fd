"""Who starts and stops the servers of a cluster beside dbre, and keeps their settings. It is asked; nobody goes past it."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from dbre.core.fleet import Cluster, Instance
from dbre.ports.session import Role
from dbre.ports.succession import Obstacle

__all__ = ["Steward"]


class Steward(Protocol):
    """A program that would take the stop of a server for its death, and so does it itself: Patroni."""

    @property
    def name(self) -> str:
        """Who it is."""
        ...

    async def check(self, cluster: Cluster) -> Sequence[Obstacle]:
        """What speaks for and against having it restart servers now. Raises: SecretUnavailable."""
        ...

    async def restart(self, cluster: Cluster, instance: Instance, *, role: Role | None, limit_seconds: float) -> None:
        """Have one server stopped and started, also where it does not run, and wait until it runs.

        ``role``: not where it has another one by then; None: whatever it is. One restart that is under way is waited for.
        Raises: Refused where it does not happen, Denied, Unreachable, NotDone.
        """
        ...

    async def waits_for_restart(self, cluster: Cluster, instance: Instance) -> frozenset[str]:
        """The settings, in lower case, that one server has in another value than is kept for its next start.

        Raises: Unreachable.
        """
        ...

    async def settings(self, cluster: Cluster) -> Mapping[str, str]:
        """The settings that it keeps for all servers of the cluster, as it stores them. Raises: Unreachable."""
        ...

    async def store(self, cluster: Cluster, values: Mapping[str, str | None]) -> None:
        """Keep these for all servers, None: keep none of that name. Servers follow by themselves, without a restart.

        Raises: Denied, Refused, Unreachable.
        """
        ...

    async def pace_seconds(self, cluster: Cluster) -> float:
        """After how long each server has seen what was stored, at most. Raises: Unreachable."""
        ...
