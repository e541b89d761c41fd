"""What turning routes stands on; the composition root builds it."""

from dataclasses import dataclass

from dbre.capabilities.ha.route.building import RoutesOf
from dbre.core.errors import UsageError
from dbre.core.fleet import Cluster, Fleet
from dbre.core.text import closest, printable
from dbre.ports.engine import EngineRegistry
from dbre.ports.route import Route

__all__ = ["RouteGround"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteGround:
    """What turning routes stands on."""

    fleet: Fleet
    engines: EngineRegistry
    routes_of: RoutesOf

    def routes(self, cluster: Cluster, names: tuple[str, ...] = ()) -> tuple[Route, ...]:
        """The routes of these names in the order of the configuration, or all. Raises: UsageError with a did-you-mean."""
        found = {one.name: one for one in self.routes_of(cluster)}
        if not found:
            raise UsageError(
                f"cluster {cluster.name} has no routes",
                hint=f"write them under ha: clusters: - cluster: {cluster.name}, routes:; dbre config schema prints every key",
            )
        for name in names:
            if name not in found:
                near = closest(name, found)
                raise UsageError(
                    f"cluster {cluster.name} has no route {printable(name, limit=100)}",
                    hint=f"did you mean {near}?" if near else f"its routes are {', '.join(found)}",
                )
        return tuple(one for one in found.values() if not names or one.name in names)
