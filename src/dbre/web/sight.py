"""What somebody may see: the clusters that a grant of theirs selects, and what is told of those."""

from collections.abc import Iterable

from dbre.capabilities.slo import SloStatus
from dbre.core.events import Event
from dbre.core.fleet import Cluster
from dbre.core.identity.model import Permission, Principal
from dbre.web.services import Services

__all__ = ["seen_clusters", "seen_events", "seen_statuses", "sees_everything"]


def seen_clusters(wired: Services, principal: Principal) -> tuple[Cluster, ...]:
    """The clusters of the inventory that the principal may see, in its order."""
    return tuple(one for one in wired.fleet.clusters if principal.may(Permission.READ, one.labels))


def sees_everything(wired: Services, principal: Principal) -> bool:
    """Whether nothing of the fleet is kept from the principal."""
    return len(seen_clusters(wired, principal)) == len(wired.fleet.clusters)


def seen_statuses(wired: Services, principal: Principal, statuses: Iterable[SloStatus]) -> list[SloStatus]:
    """The SLOs on clusters that the principal may see."""
    names = {one.name for one in seen_clusters(wired, principal)}
    return [one for one in statuses if one.cluster in names]


def seen_events(wired: Services, principal: Principal, events: Iterable[Event]) -> list[Event]:
    """Events of clusters that the principal may see; those of nothing in particular are for who sees everything."""
    if sees_everything(wired, principal):
        return list(events)
    clusters = seen_clusters(wired, principal)
    names = {one.name for one in clusters}
    instances = {instance.name for one in clusters for instance in one.instances}
    return [one for one in events if _cluster_of(one) in names or one.subject in instances]


def _cluster_of(event: Event) -> str:
    """The cluster that an event tells of: named in its data, or in a subject such as orders, orders/write, writes@orders."""
    named = event.data.get("cluster")
    target = event.data.get("target")
    if isinstance(named, str):
        return named
    if isinstance(target, str) and target.startswith("cluster/"):
        return target.removeprefix("cluster/").partition("/")[0]
    return event.subject.rpartition("@")[2].partition("/")[0]
