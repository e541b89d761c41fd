"""What the configuration says of the watchdog of a server without Patroni."""

from dataclasses import dataclass
from pathlib import Path

from dbre.capabilities.ha.config_document import HaDocument
from dbre.capabilities.ha.fencing.config_document import SelfFence
from dbre.capabilities.ha.watchdog.killing import see_directory
from dbre.capabilities.ha.watchdog.vouching import Vouching
from dbre.core.errors import UsageError
from dbre.core.fleet import Address, Fleet
from dbre.core.secrets import Secret

__all__ = ["NativeWatchdog", "settings_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeWatchdog:
    """Where it listens, whom it counts, what it kills."""

    address: Address
    directory: Path
    vouching: Vouching
    secret: Secret


async def settings_of(fleet: Fleet, settings: HaDocument, name: str, *, listen: str | None) -> NativeWatchdog:
    """Raises: UsageError naming what is missing; SecretUnavailable."""
    instance = fleet.instance(name)
    found = settings.of(instance.cluster).failover
    where = f"ha: clusters: - cluster: {instance.cluster} failover:"
    if found is None or found.beacon is None or len(found.observers) < 2:
        raise UsageError(
            f"no observers vouch for servers of cluster {instance.cluster}", hint=f"set observers and beacon under {where}"
        )
    rung = next((one for one in found.fence if isinstance(one, SelfFence)), None)
    if rung is None:
        raise UsageError(
            f"nobody waits for the watchdog of {name}: the fence of {instance.cluster} has no rung self_fence",
            hint=f"add {{kind: self_fence, after: 10s}} to fence under {where}",
        )
    if instance.control is None or instance.control.data_directory is None:
        raise UsageError(
            f"the inventory does not say where the data of {name} is",
            hint=f"add control: data_directory to {name} in dbre.yaml",
        )
    return NativeWatchdog(
        address=Address(listen or instance.address.host, found.beacon.port),
        directory=see_directory(instance.control.data_directory),
        vouching=Vouching(found.observers, instance=name, after_seconds=rung.after.total_seconds()),
        secret=await found.beacon.secret.resolve(),
    )
