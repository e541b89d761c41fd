"""Between two experiments: the cluster is as whole again as it was before the first, or the suite ends."""

from collections.abc import Mapping
from typing import Any

from dbre.capabilities.chaos.ground import ChaosGround
from dbre.capabilities.chaos.preflight.gathering import roles_of
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster
from dbre.core.text import counted, printable
from dbre.core.units import format_duration

__all__ = ["NotRecovered", "standing_of", "until_whole"]

_LOOK_SECONDS = 1.0


class NotRecovered(DbreError):
    """The cluster was not whole again in time: nothing more is broken."""

    code = "chaos.not_recovered"


async def standing_of(ground: ChaosGround, cluster: Cluster, purpose: str) -> dict[str, Any]:
    """Who answers as what, how many replicate, and what is wrong; as JSON."""
    roles = await roles_of(ground, cluster, purpose)
    found: dict[str, Any] = {"roles": roles, "replicating": None, "troubles": []}
    if ground.surroundings is not None:
        try:
            health = await ground.surroundings.health(cluster.name)
        except DbreError as error:
            found["troubles"] = [f"health cannot be read: {printable(error.message, limit=200)}"]
        else:
            found |= {"replicating": len(health.replicating), "troubles": sorted(health.troubles)}
    return found


async def until_whole(
    ground: ChaosGround, cluster: Cluster, purpose: str, *, before: Mapping[str, Any], limit_seconds: float
) -> float:
    """Look until the cluster stands as it did before; gives how long that took. Raises: NotRecovered."""
    began = ground.clock.monotonic()
    while True:
        missing = _missing(before, await standing_of(ground, cluster, purpose))
        elapsed = ground.clock.monotonic() - began
        if not missing:
            return elapsed
        if elapsed >= limit_seconds:
            raise NotRecovered(
                f"{cluster.name} is not whole again after {format_duration(limit_seconds)}: {'; '.join(missing)}",
                hint=f"see what is left: dbre ha status {cluster.name}; the rest of the suite was not begun",
            )
        await ground.clock.sleep(_LOOK_SECONDS)


def _missing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What is worse than before; who is primary may have changed."""
    roles, had = now["roles"], before["roles"]
    found = [f"{name} does not answer" for name, said in sorted(had.items()) if said is not None and roles.get(name) is None]
    if "primary" in had.values() and list(roles.values()).count("primary") != 1:
        found.append(f"{counted(list(roles.values()).count('primary'), 'primary')} instead of one")
    if before["replicating"] is not None and now["replicating"] is not None and now["replicating"] < before["replicating"]:
        found.append(f"{counted(now['replicating'], 'replica')} replicating, {before['replicating']} before")
    return found + [one for one in now["troubles"] if one not in before["troubles"]]
