"""The ladder of one failover: the rungs of the configuration that can be tried here, and why the others cannot."""

from collections.abc import Sequence
from dataclasses import dataclass

from dbre.capabilities.ha.detection.reports import Listener
from dbre.capabilities.ha.detection.weighing import Heard, Rules
from dbre.capabilities.ha.failover.ground import FailoverGround
from dbre.capabilities.ha.fencing.config_document import CommandFence, ControlFence, FenceDocument, NetworkFence, SelfFence
from dbre.capabilities.ha.fencing.rung import Confirmation, FenceFailed, Rung
from dbre.capabilities.ha.fencing.rungs import CommandRung, ControlRung, NetworkRung, SelfFenceRung
from dbre.capabilities.ha.patroni.agent import PatroniAgent
from dbre.core.clock import Clock
from dbre.core.errors import DbreError, PrecheckFailed
from dbre.core.fleet import Cluster, Instance
from dbre.tools.nft_fence import NftFence

__all__ = ["Ladder", "agent_of", "ladder_of", "see_fenced", "unheard_by_majority"]

_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """Rungs in the order in which they are tried."""

    rungs: tuple[Rung, ...]
    problems: tuple[str, ...]

    def rung(self, name: str, subject: str) -> Rung:
        """The rung that held. Raises: FenceFailed where it cannot be used from here."""
        found = next((one for one in self.rungs if one.name == name), None)
        if found is None:
            raise FenceFailed(f"the fence {name} of {subject} cannot be seen from here: {'; '.join(self.problems)}")
        return found


async def ladder_of(
    ground: FailoverGround, cluster: Cluster, instance: Instance, *, fence_id: str, is_over: bool = False
) -> Ladder:
    """The rungs against one instance; does nothing to it. ``fence_id``: the same for whoever takes the fence back.

    ``is_over``: somebody else is the primary by now, so that whoever manages the cluster may start the server as a replica.
    """
    settings = ground.failover_of(cluster.name)
    rungs: list[Rung] = []
    problems: list[str] = []
    for one in settings.fence:
        try:
            rungs.append(await _rung(ground, cluster, instance, one, fence_id=fence_id, is_over=is_over))
        except DbreError as error:
            problems.append(f"{one.kind}: {error.message}")
    return Ladder(rungs=tuple(rungs), problems=tuple(problems))


async def see_fenced(
    ground: FailoverGround, cluster: Cluster, instance: Instance, *, rung: str, fence_id: str, is_over: bool = False
) -> Confirmation:
    """Whether the fence that held holds now. Raises: FenceFailed, or why it cannot be seen."""
    ladder = await ladder_of(ground, cluster, instance, fence_id=fence_id, is_over=is_over)
    found = await ladder.rung(rung, instance.name).confirm()
    if not found.is_fenced:
        raise FenceFailed(
            f"{instance.name} was fenced, and is not any more: {found.seen}",
            hint="see who started it again, or took the fence away",
            context={"instance": instance.name, "rung": rung},
        )
    return found


async def agent_of(ground: FailoverGround, cluster: Cluster, instance: Instance) -> PatroniAgent | None:
    """The Patroni beside a server; None where none manages it, or its processes cannot be seen from here."""
    directory = instance.control.data_directory if instance.control is not None else None
    if ground.settings.of(cluster.name).patroni is None or directory is None:
        return None
    is_seen = (await ground.host(cluster, instance).state()).is_seen  # else another server's data may lie under that path
    return PatroniAgent(directory, name=instance.name) if is_seen else None


async def _rung(
    ground: FailoverGround, cluster: Cluster, instance: Instance, settings: FenceDocument, *, fence_id: str, is_over: bool
) -> Rung:
    match settings:
        case ControlFence():
            host = ground.host(cluster, instance)
            if not (await host.state()).is_seen:
                raise PrecheckFailed(
                    f"the processes of {instance.name} cannot be seen from here: control: must name its data directory, on the "
                    "machine that has its address, and dbre must run as the owner of that directory or as root"
                )
            agent = None if is_over else await agent_of(ground, cluster, instance)
            return ControlRung(settings, host, starts_again=ground.manager_of(cluster.name) is None, agent=agent)
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
    return _Silence(Listener(ground.store, cluster.name, ground.clock), ground.clock, rules, instance.name)


class _Silence:
    """For how long a majority of the observers has not heard a server."""

    def __init__(self, listener: Listener, clock: Clock, rules: Rules, primary: str) -> None:
        self._listener = listener
        self._clock = clock
        self._rules = rules
        self._primary = primary
        self._settles_at: float | None = None

    async def __call__(self) -> float | None:
        """At first reports are of unknown age: they are waited for, no longer than one may be old."""
        if self._settles_at is None:
            self._settles_at = self._clock.monotonic() + self._rules.stale_seconds
        while True:
            heard = await self._listener.hear()
            found = unheard_by_majority(heard, self._rules.observers, self._primary, stale_seconds=self._rules.stale_seconds)
            if found is not None or self._clock.monotonic() >= self._settles_at:
                return found
            await self._clock.sleep(_LOOK_SECONDS)


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
