"""What a change would mean on each instance, asked side by side."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dbre.core.errors import PrecheckFailed, Unreachable, UsageError
from dbre.core.fleet import Cluster, Instance
from dbre.core.text import closest, quoted
from dbre.ports.contact import CONCURRENT_SERVERS, contact
from dbre.ports.engine import EngineRegistry
from dbre.ports.session import Role
from dbre.ports.settings import SettingForecast

__all__ = ["InstanceForecast", "chosen_instances", "forecast"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceForecast:
    """What would become of one instance."""

    instance: str
    role: Role
    requested: Mapping[str, str | None]  # by the server's own name of the parameter; None: to be reset
    forecasts: tuple[SettingForecast, ...]

    @property
    def changing(self) -> tuple[SettingForecast, ...]:
        """Those that are not in the wanted state yet."""
        return tuple(one for one in self.forecasts if not one.is_already)


def chosen_instances(cluster: Cluster, names: Sequence[str]) -> tuple[Instance, ...]:
    """The instances of these names, or all. Raises: UsageError with a did-you-mean."""
    known = {one.name: one for one in cluster.instances}
    for name in names:
        if name not in known:
            near = closest(name, known)
            raise UsageError(
                f"cluster {cluster.name} has no instance {quoted(name, limit=100)}",
                hint=f"did you mean {near}?" if near else f"its instances are {', '.join(known)}",
            )
    return tuple(known[name] for name in dict.fromkeys(names)) if names else cluster.instances


async def forecast(
    engines: EngineRegistry,
    cluster: Cluster,
    instances: Sequence[Instance],
    wanted: Mapping[str, str | None],
    *,
    application_name: str,
) -> tuple[InstanceForecast, ...]:
    """Ask every instance; only looks. Raises: PrecheckFailed where one does not answer, and what ``foresee`` raises."""
    limit = asyncio.Semaphore(CONCURRENT_SERVERS)

    async def one(instance: Instance) -> InstanceForecast:
        async with limit:
            try:
                return await _ask(engines, cluster, instance, wanted, application_name=application_name)
            except Unreachable as error:
                raise PrecheckFailed(
                    f"{instance.name} does not answer, so nothing is changed anywhere: {error.message}",
                    hint="start it, or name the instances to change: --instance NAME",
                    context={"instance": instance.name, **error.context},
                ) from error

    answers = await asyncio.gather(*(one(instance) for instance in instances), return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return tuple(answer for answer in answers if isinstance(answer, InstanceForecast))


async def _ask(
    engines: EngineRegistry, cluster: Cluster, instance: Instance, wanted: Mapping[str, str | None], *, application_name: str
) -> InstanceForecast:
    async with contact(engines, cluster, instance.address, purpose=application_name) as server:
        identity = await server.session.identify()
        found = {}
        for name, value in wanted.items():
            told = await server.settings.foresee(name, value)
            found[told.now.name] = (value, told)
    return InstanceForecast(
        instance=instance.name,
        role=identity.role,
        requested={name: value for name, (value, _) in found.items()},
        forecasts=tuple(told for _, told in found.values()),
    )
