"""What servers still keep for a receiver of ours, though no policy wants their log any more: it fills their disks."""

from collections.abc import Sequence
from dataclasses import dataclass

from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.log.origin import receiver_name
from dbre.core.errors import DbreError, UsageError
from dbre.core.fleet import Cluster
from dbre.core.secrets import prepare_secrets
from dbre.core.text import printable
from dbre.ports.backup.log_source import BacklogState, HasLogSource, LogBacklog, LogSource
from dbre.ports.engine import Access

__all__ = ["Leftover", "Unasked", "find_leftovers", "source_of", "wants_receiver"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """One server that keeps log for nobody."""

    instance: str
    name: str  # of the receiver, which is the slot's
    backlog: LogBacklog


@dataclass(frozen=True, slots=True, kw_only=True)
class Unasked:
    """One server of which nobody can say whether it does."""

    instance: str
    error: DbreError


def wants_receiver(ground: BackupGround, cluster: str) -> bool:
    """Whether the policy of a cluster has its log received, so that the keeper makes what servers keep for it."""
    policy = ground.policy_of(cluster)
    return policy is not None and policy.log.mode in ("stream", "synchronous")


def source_of(ground: BackupGround, cluster: Cluster, instance: str) -> LogSource | None:
    """The log of one server; None where the engine keeps nothing for receivers.

    Raises: UsageError where the cluster has no such server (any more); Unsupported, NoUsableAccount.
    """
    port = ground.port_of(cluster)
    address = next((one.address for one in cluster.instances if one.name == instance), None)
    if address is None:
        raise UsageError(
            f"cluster {cluster.name} has no server {printable(instance, limit=100)}",
            hint="put it back into the inventory until its slot is dropped",
        )
    access = Access.to(cluster, address, application_name="dbre:log")
    return port.log_source(access) if isinstance(port, HasLogSource) else None


async def find_leftovers(ground: BackupGround, cluster: Cluster) -> tuple[Sequence[Leftover], Sequence[Unasked]]:
    """Ask every server of a cluster; nothing where the policy has its log received. Changes nothing."""
    if wants_receiver(ground, cluster.name):
        return (), ()
    found: list[Leftover] = []
    unasked: list[Unasked] = []
    name = receiver_name(cluster.name)
    await prepare_secrets([cluster.password])
    for instance in cluster.instances:
        try:
            source = source_of(ground, cluster, instance.name)
            backlog = await source.backlog(name) if source is not None else None
        except DbreError as error:
            unasked.append(Unasked(instance=instance.name, error=error))
            continue
        # a server that does not know receivers keeps nothing for one
        if backlog is not None and backlog.is_active is not None and backlog.state is not BacklogState.ABSENT:
            found.append(Leftover(instance=instance.name, name=name, backlog=backlog))
    return found, unasked
