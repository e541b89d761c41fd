"""The ladder of one failover: the rungs of the configuration that can be tried here, and why the others cannot."""

from collections.abc import Sequence
from dataclasses import dataclass

from dbre.capabilities.ha.detection.reports import Listener
from dbre.capabilities.ha.detection.weighing import Heard
from dbre.capabilities.ha.failover.ground import FailoverGround
from dbre.capabilities.ha.fencing.config_document import CommandFence, ControlFence, FenceDocument, NetworkFence, SelfFence
from dbre.capabilities.ha.fencing.rung import Rung
from dbre.capabilities.ha.fencing.rungs import CommandRung, ControlRung, NetworkRung, SelfFenceRung
from dbre.core.errors import DbreError, PrecheckFailed
from dbre.core.fleet import Cluster, Instance
from dbre.tools.nft_fence import NftFence

__all__ = ["Ladder", "ladder_of", "unheard_by_majority"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """Rungs in the order in which they are tried."""

    rungs: tuple[Rung, ...]
    problems: tuple[str, ...]


async def ladder_of(ground: FailoverGround, cluster: Cluster, instance: Instance, *, fence_id: str) -> Ladder:
    """The rungs against one instance; does nothing to it. ``fence_id``: the same for whoever takes the fence back."""
    settings = ground.failover_of(cluster.name)
    rungs: list[Rung] = []
    problems: list[str] = []
    for one in settings.fence:
        try:
            rungs.append(await _rung(ground, cluster, instance, one, fence_id=fence_id))
        except DbreError as error:
            problems.append(f"{one.kind}: {error.message}")
    return Ladder(rungs=tuple(rungs), problems=tuple(problems))


async def _rung(
    ground: FailoverGround, cluster: Cluster, instance: Instance, settings: FenceDocument, *, fence_id: str
) -> Rung:
    match settings:
        case ControlFence():
            host = ground.host(cluster, instance)
            if not (await host.state()).is_seen:
                raise PrecheckFailed(
                    f"the processes of {instance.name} cannot be seen from here: control: must name its data directory, on the "
                    "machine that has its address, and dbre must run as the owner of that directory or as root"
                )
            return ControlRung(settings, host)
        case NetworkFence():
            fence = NftFence(instance.address, name=fence_id, namespace=settings.namespace)
            if not await fence.is_here():
                raise PrecheckFailed(f"{instance.address} is not an address of this machine")
            await fence.is_cut()  # tells early that nft is missing, or root
            return NetworkRung(settings, instance, fence_id=fence_id)
        case CommandFence():
            return CommandRung(settings, instance, ground.account(), ground.clock)
        case SelfFence():
            if ground.store is None or not ground.failover_of(cluster.name).observers:
                raise PrecheckFailed("a self-fence is believed only where observers know for how long they did not hear it")
            return SelfFenceRung(settings, _silence(ground, cluster, instance), ground.clock)


def _silence(ground: FailoverGround, cluster: Cluster, instance: Instance) -> "_Silence":
    assert ground.store is not None  # noqa: S101 - seen by whoever calls
    rules = ground.failover_of(cluster.name).rules
    return _Silence(Listener(ground.store, cluster.name, ground.clock), rules.observers, rules.stale_seconds, instance.name)


class _Silence:
    """For how long a majority of the observers has not heard a server."""

    def __init__(self, listener: Listener, observers: Sequence[str], stale_seconds: float, primary: str) -> None:
        self._listener = listener
        self._observers = observers
        self._stale_seconds = stale_seconds
        self._primary = primary

    async def __call__(self) -> float | None:
        heard = await self._listener.hear()
        return unheard_by_majority(heard, self._observers, self._primary, stale_seconds=self._stale_seconds)


def unheard_by_majority(
    heard: Sequence[Heard], observers: Sequence[str], primary: str, *, stale_seconds: float
) -> float | None:
    """The longest time for which a majority of all observers says that it has not heard the primary; None: there is none.

    >>> unheard_by_majority([], ["a", "b"], "n1", stale_seconds=3.0) is None
    True
    """
    silent = sorted(
        (
            one.report.unheard_seconds
            for one in heard
            if one.report.observer in observers
            and one.age_seconds <= stale_seconds
            and one.report.primary == primary
            and one.report.contact.is_silence
            and one.report.unheard_seconds is not None
        ),
        reverse=True,
    )
    majority = len(observers) // 2 + 1
    return silent[majority - 1] if len(silent) >= majority else None
