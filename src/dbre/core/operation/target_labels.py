"""What selectors compare for a target: the labels of its cluster."""

from collections.abc import Mapping

from dbre.core.fleet import Fleet

__all__ = ["cluster_of", "labels_of"]


def cluster_of(target: str) -> str | None:
    """The cluster that a target lies in.

    >>> cluster_of("cluster/orders/instance/orders-1"), cluster_of("host/db1")
    ('orders', None)
    """
    head, _, rest = target.partition("/")
    return (rest.partition("/")[0] or None) if head == "cluster" else None


def labels_of(target: str, fleet: Fleet) -> Mapping[str, str]:
    """The labels of the target's cluster; its name alone where the configuration has it no more, none for another target."""
    name = cluster_of(target)
    if name is None:
        return {}
    found = next((one for one in fleet.clusters if one.name == name), None)
    return found.labels if found is not None else {"cluster": name}
