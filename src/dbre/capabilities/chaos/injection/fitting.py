"""Whether the engine of a cluster knows the faults that are asked for, before anything is begun."""

from collections.abc import Callable, Iterable

from dbre.capabilities.chaos.injection.catalogue import CATALOGUE, fault_kind
from dbre.core.errors import UsageError
from dbre.core.fleet import Cluster
from dbre.ports.engine import Access, EngineRegistry

__all__ = ["check_engine", "makes"]


def makes(cluster: Cluster, engines: EngineRegistry) -> Callable[[str], bool]:
    """Whether the engine of a cluster knows a fault, by its name."""
    deeds = engines.get(cluster.engine).mischief(Access.to(cluster, cluster.instances[0].address)).deeds
    return lambda name: (deed := fault_kind(name).deed) is None or deed in deeds


def check_engine(faults: Iterable[str], cluster: Cluster, engines: EngineRegistry) -> None:
    """Raises: UsageError naming the first fault that this engine does not make, and those that it does."""
    deeds = engines.get(cluster.engine).mischief(Access.to(cluster, cluster.instances[0].address)).deeds
    made = [one.name for one in CATALOGUE.values() if one.deed in deeds]
    for name in faults:
        deed = fault_kind(name).deed
        if deed is not None and deed not in deeds:
            raise UsageError(
                f"{cluster.engine}, the engine of {cluster.name}, does not make {name}",
                hint=f"it makes: {', '.join(made)}; and the faults of processes, files and networks: dbre chaos faults",
            )
