"""The steps of ``ha.rejoin`` for servers that follow while they run."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from dbre.capabilities.ha.looking import read_lag
from dbre.capabilities.ha.rejoin.document import RejoinInput
from dbre.capabilities.ha.rejoin.ground import RejoinGround
from dbre.capabilities.ha.rejoin.online import Online, online_between, require_kin
from dbre.capabilities.ha.rejoin.sampling import with_sample
from dbre.core.errors import PrecheckFailed
from dbre.core.fleet import Cluster, Instance
from dbre.core.operation.context import StepContext
from dbre.core.operation.definition import Operation, step
from dbre.core.secrets import prepare_secrets
from dbre.ports.succession import Following

__all__ = ["OnlineSteps"]

_FILL_SECONDS = 7 * 86_400.0
_SHORT_SECONDS = 1800.0


class OnlineSteps(Operation[RejoinInput]):
    """Base: what is closed stays closed, for two that take writes are worse than one that takes none."""

    _ground: RejoinGround

    @step(timeout_seconds=_SHORT_SECONDS, idempotent=True, attempts=1)
    async def close(self, context: StepContext) -> Mapping[str, Any]:
        """From here on only the primary takes writes."""
        cluster, instance, _ = self._three(context)
        limit = self._ground.servers.limits(cluster.name).give_up.total_seconds()
        async with self._ground.servers.server(cluster, instance, purpose=context.application_name) as server:
            if not await server.succession.is_closed():
                position = await server.succession.close_to_writes(limit_seconds=limit)
                return {"position": position.text}
        return {"position": None}

    @step(timeout_seconds=_SHORT_SECONDS, idempotent=True, attempts=1)
    async def compare(self, context: StepContext) -> Mapping[str, Any]:
        """Until it was closed its clients may have written. Raises: NotAligned."""
        cluster, instance, primary = self._three(context)
        found = await self._compared(context, cluster, instance, primary)
        require_kin(found, instance.name, primary.name)
        if found.errants:
            await context.note(f"only {instance.name} has: " + "; ".join(one.text for one in found.errants))
        if found.sample is not None:
            await context.note(f"keys of {instance.name} against {primary.name}: {found.sample.text}")
        return {
            "is_comparable": found.is_comparable,
            "sample": asdict(found.sample) if found.sample is not None else None,
            "why_no_sample": found.why_no_sample,
            "lost": [{"log": one.log.name, "unit": one.log.unit, "most": one.many, "text": one.text} for one in found.errants],
        }

    @step(timeout_seconds=_FILL_SECONDS, idempotent=True, attempts=1)
    async def follow(self, context: StepContext) -> Mapping[str, Any]:
        """Until it receives and applies."""
        cluster, instance, primary = self._three(context)
        await prepare_secrets([cluster.replication_password])
        following = Following(
            upstream=primary.address,
            name=instance.name,
            user=cluster.replication_user,
            password=cluster.replication_password,
        )
        begun, limit = context.clock.monotonic(), self._ground.servers.limits(cluster.name).follow.total_seconds()
        async with self._ground.servers.server(cluster, instance, purpose=context.application_name) as server:
            await server.succession.follow(following, limit_seconds=limit)
        return {"seconds": round(context.clock.monotonic() - begun, 3), "way": context.input["way"]}

    async def _compared(self, context: StepContext, cluster: Cluster, instance: Instance, primary: Instance) -> Online:
        servers = self._ground.servers
        async with servers.server(cluster, primary, purpose=context.application_name) as server:
            standing = await server.succession.standing()
        topology, _ = await read_lag(servers.engines, servers.fleet, cluster)
        mine, theirs = topology.node(instance.name), topology.node(primary.name)
        if mine is None or mine.view is None or theirs is None or theirs.view is None:
            silent = instance.name if mine is None or mine.view is None else primary.name
            raise PrecheckFailed(f"{silent} does not answer any more", hint=f"dbre ha status {cluster.name}")
        found = online_between(mine.view, theirs.view, standing, is_primary=mine.is_primary)
        return await with_sample(self._ground, cluster, instance, primary, found, purpose=context.application_name)

    def _three(self, context: StepContext) -> tuple[Cluster, Instance, Instance]:
        fleet, observed = self._ground.servers.fleet, context.plan.observed
        cluster = fleet.cluster(context.plan.target.rpartition("/")[2])
        return cluster, fleet.instance(observed["instance"]), fleet.instance(observed["primary"])
