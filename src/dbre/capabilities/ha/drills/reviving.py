"""Whoever ran a drill is dead, and so may be the server that was killed for it, which nobody else starts."""

from dbre.capabilities.ha.drills.document import DrillKind
from dbre.capabilities.ha.drills.ground import DrillGround
from dbre.capabilities.ha.drills.locating import find_health
from dbre.capabilities.ha.drills.regions import is_one_site
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster
from dbre.core.operation.context import StepContext

__all__ = ["revive"]

_START_SECONDS = 120.0


async def revive(ground: DrillGround, context: StepContext, cluster: Cluster, *, kind: DrillKind) -> None:
    """Start what is dead as what it is, where nobody takes writes and nobody else manages the cluster; else say what to do.

    One that a failover has barred comes back as a follower. Where somebody else is silent nobody knows who takes writes;
    the instances of a site that was killed are one whole: one of them was primary, and nobody has become it since.
    """
    settings = ground.settings.of(cluster.name)
    if settings.patroni is not None or settings.sentinel is not None:
        return
    health = await find_health(ground, cluster)
    is_region = is_one_site(settings, kind, health.silent)
    for name in health.silent:
        instance = ground.fleet.instance(name)
        try:
            host = ground.engines.get(cluster.engine).host(instance)
            if not (await host.state()).is_gone:
                continue  # frozen, cut off, or on another machine: taking back the fault brings it back
            if health.primaries:
                told = f"{health.primaries[0]} takes writes: let it follow with dbre ha rejoin {cluster.name} {name}"
                await context.note(f"{name} is dead, and {told}")
            elif len(health.silent) > 1 and not is_region:
                await context.note(f"{name} is dead, and nobody takes writes; see who is to: dbre ha status {cluster.name}")
            else:
                await host.start(limit_seconds=_START_SECONDS)
                await context.note(f"{name} was dead, and is started again as what it was")
        except DbreError as error:
            await context.note(f"{name} is dead, and was not started: {error.message}")
