"""Whether a server that was started again is as whole as before: its role, what it receives, what it has applied, a probe."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from dbre.capabilities.upgrade.ground import UpgradeGround
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster, EndpointPurpose, Instance
from dbre.core.text import printable
from dbre.core.units import format_duration
from dbre.ports.engine import Access, Server
from dbre.ports.probe import Outcome, ProbeDeadlines, ProbeRequest
from dbre.ports.session import Role
from dbre.ports.succession import Following, GivesUp
from dbre.ports.topology import NodeView

__all__ = ["NotWhole", "not_whole_with", "primaries_of", "primary_of", "probe", "wait_primary", "wait_replica"]

_POLL_SECONDS = 0.1
_SILENCE_SECONDS = 10.0
_DEADLINES = ProbeDeadlines(connect_seconds=2.0, statement_seconds=2.0, total_seconds=5.0)


class NotWhole(DbreError):
    """A server that was started again is not what it was; nothing more is restarted."""

    code = "upgrade.not_whole"


def not_whole_with(name: str, what: str, error: DbreError) -> NotWhole:
    """What became of a server that was put back; what is wrong with it is said once."""
    why = printable(error.message, limit=500).removeprefix(f"{name} is not whole ")
    return NotWhole(
        f"{name} is not whole with {printable(what, limit=300)}: {why}; it was put back",
        hint=error.hint or f"see the log of {name}",
        context={"instance": name},
    )


async def primary_of(ground: UpgradeGround, cluster: Cluster, *, purpose: str, besides: Instance | None = None) -> Instance:
    """Who takes writes now. Raises: NotWhole where nobody does, or more than one, and as ``primaries_of``."""
    found = await primaries_of(ground, cluster, purpose=purpose, besides=besides)
    if len(found) != 1:
        names = ", ".join(one.name for one in found) or "nobody"
        raise NotWhole(f"{names} takes writes in {cluster.name}: one does", hint=f"dbre ha status {cluster.name}")
    return found[0]


async def primaries_of(ground: UpgradeGround, cluster: Cluster, *, purpose: str, besides: Instance | None) -> list[Instance]:
    """Those that take writes by their own word. ``besides``: may be silent, since it is the one that is restarted.

    Raises: NotWhole where another one stays silent: it may take writes, and less is left than the plan went by.
    """
    found: list[Instance] = []
    for one in cluster.instances:
        try:
            if await _role(ground, cluster, one, purpose=purpose) is Role.PRIMARY:
                found.append(one)
        except DbreError as error:
            if besides is not None and one.name == besides.name:
                continue
            raise NotWhole(
                f"{one.name} of {cluster.name} does not answer, so that nobody knows whether it takes writes: "
                f"{printable(error.message, limit=300)}",
                hint=f"nothing more of {cluster.name} is restarted; see dbre ha status {cluster.name}, and begin again",
                context={"instance": one.name},
            ) from error
    return found


async def _role(ground: UpgradeGround, cluster: Cluster, instance: Instance, *, purpose: str) -> Role:
    """Asked again for a while: on a busy machine one answer comes late."""
    deadline = time.monotonic() + _SILENCE_SECONDS
    while True:
        try:
            async with ground.server(cluster, instance, purpose=purpose) as server:
                return (await server.topology.view()).role
        except DbreError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(_POLL_SECONDS)


async def wait_replica(
    ground: UpgradeGround, cluster: Cluster, instance: Instance, primary: Instance, *, purpose: str
) -> Mapping[str, Any]:
    """Wait until a replica receives, has applied what its primary had written by now, and answers a probe. Raises: NotWhole."""
    limit = ground.limits(cluster.name).catch_up.total_seconds()
    deadline = time.monotonic() + limit
    is_closed_again = await _close_again(ground, cluster, instance, primary, purpose=purpose, limit_seconds=limit)
    async with ground.server(cluster, primary, purpose=purpose) as ahead:
        written = (await ahead.topology.view()).position
    async with ground.server(cluster, instance, purpose=purpose) as server:
        state = "it was not asked"
        while True:
            try:
                view = await server.topology.view()
                state = _state(view)
                if state == "receives" and (written is None or await server.succession.reached(written)):
                    break
                state = "receives, and has not applied everything" if state == "receives" else state
            except DbreError as error:
                state = printable(error.message, limit=300)
            if time.monotonic() > deadline:
                raise NotWhole(
                    f"{instance.name} is not whole {format_duration(limit)} after its start: {state}",
                    hint=f"see its log; nothing more of {cluster.name} is restarted",
                    context={"instance": instance.name},
                )
            await asyncio.sleep(_POLL_SECONDS)
    seconds = await probe(ground, cluster, instance, EndpointPurpose.REPLICA)
    told = {"applied": written.text if written is not None else None, "probe_seconds": seconds}
    return told | ({"closed_again": True} if is_closed_again else {})


async def wait_primary(ground: UpgradeGround, cluster: Cluster, instance: Instance, *, purpose: str) -> Mapping[str, Any]:
    """Wait until a primary that was started in its place takes writes again. Raises: NotWhole."""
    async with ground.server(cluster, instance, purpose=purpose) as server:
        await server.succession.open_to_writes()
        view = await server.topology.view()
    if view.role is not Role.PRIMARY or not view.is_writable:
        raise NotWhole(
            f"{instance.name} was the primary of {cluster.name}, and takes no writes after its start",
            hint=f"dbre ha status {cluster.name}",
            context={"instance": instance.name},
        )
    return {"probe_seconds": await probe(ground, cluster, instance, EndpointPurpose.WRITE)}


async def probe(ground: UpgradeGround, cluster: Cluster, instance: Instance, purpose: EndpointPurpose) -> float | None:
    """How long one answer to a client took; None where dbre lacks what a probe needs. Raises: NotWhole where it failed."""
    prober = ground.engines.get(cluster.engine).probe(Access.to(cluster, instance.address, application_name="dbre:upgrade"))
    request = ProbeRequest(
        purpose=purpose,
        heartbeat_id=f"{cluster.name}:upgrade",
        sequence=int(ground.clock.now().timestamp() * 1_000_000),
        fresh=True,
        deadlines=_DEADLINES,
    )
    try:
        await prober.prepare()
        reading = await prober.measure(request)
    finally:
        await prober.aclose()
    if reading.outcome is Outcome.BAD:
        raise NotWhole(
            f"{instance.name} fails a {purpose.value} probe: {printable(reading.reason or '', limit=300)}",
            hint="see its log",
            context={"instance": instance.name},
        )
    return round(reading.phases.total_seconds, 4) if reading.outcome is Outcome.GOOD else None


async def _close_again(
    ground: UpgradeGround, cluster: Cluster, instance: Instance, primary: Instance, *, purpose: str, limit_seconds: float
) -> bool:
    """Where a start undoes what made it a replica (read_only of MariaDB in its file), make it one again at once."""
    async with ground.server(cluster, instance, purpose=purpose) as server:
        view = await server.topology.view()
        if view.role is Role.REPLICA and not view.is_writable:
            return False
        if (await server.succession.standing()).gives_up is not GivesUp.BY_CLOSING:
            raise NotWhole(f"{instance.name} was a replica, and takes writes after its start", hint="stop it, and see its log")
        await _follow(server, cluster, instance, primary, limit_seconds)
    return True


async def _follow(server: Server, cluster: Cluster, instance: Instance, primary: Instance, limit_seconds: float) -> None:
    following = Following(
        upstream=primary.address,
        name=instance.name,
        user=cluster.replication_user,
        password=cluster.replication_password,
    )
    await server.succession.follow(following, limit_seconds=limit_seconds)


def _state(view: NodeView) -> str:
    if view.role is not Role.REPLICA or view.is_writable:
        return "takes writes"
    if not any(one.is_receiving for one in view.upstreams):
        return "receives nothing"
    return "replay is paused" if view.is_replay_paused else "receives"
