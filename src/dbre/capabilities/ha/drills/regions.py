"""The drill ``region-loss``: everything at the site of the primary is killed at once."""

from collections.abc import Sequence

from dbre.capabilities.ha.config_document import HaClusterDocument, HaDocument
from dbre.capabilities.ha.drills.document import DrillKind
from dbre.core.errors import UsageError
from dbre.core.fleet import Cluster

__all__ = ["FAILBACK_KIND", "FAILOVER_KIND", "is_one_site", "promised_seconds", "region_of"]

FAILOVER_KIND = "ha.dr_failover"
FAILBACK_KIND = "ha.dr_failback"


def region_of(settings: HaDocument, kind: DrillKind, cluster: Cluster, primary: str) -> Sequence[str]:
    """The instances at the site of the primary, itself first; nothing for another kind.

    Raises: UsageError where no plan says what a site is, people have to consent, or who promotes is not killed with the site.
    """
    if kind is not DrillKind.REGION_LOSS:
        return ()
    said = settings.of(cluster.name)
    site = said.disaster.site_of(primary) if said.disaster is not None else None
    if said.disaster is None or site is None:
        raise UsageError(
            f"no plan says which instances of {cluster.name} are at one site",
            hint=f"write one: ha: clusters: - cluster: {cluster.name} disaster: sites:",
        )
    if said.patroni is not None or said.sentinel is not None:
        raise UsageError(
            f"who promotes in {cluster.name} is not killed with the site: what would be measured is no loss of a region",
            hint="drill node-loss, or switch the sites as planned: dbre ha dr switch",
        )
    if said.disaster.people_for(cluster.environment) > 1:  # the site would stay dead while they read what they consent to
        raise UsageError(
            f"the plan of {cluster.name} asks more than one person to consent, and nobody would while clients wait",
            hint=f"drill a cluster whose plan says people: 1; of this one: dbre ha dr switch {cluster.name}",
        )
    return (primary, *(one for one in site.instances if one != primary))


def promised_seconds(settings: HaDocument, kind: DrillKind, cluster: Cluster) -> float | None:
    """How long nobody can write at most, by the plan for the loss of a site; None: it promises nothing for this kind."""
    plan = settings.of(cluster.name).disaster
    return plan.objectives.rto.total_seconds() if kind is DrillKind.REGION_LOSS and plan is not None else None


def is_one_site(said: HaClusterDocument, kind: DrillKind, names: Sequence[str]) -> bool:
    """Whether a drill of this kind killed them together: all are at one site of the plan."""
    sites = said.disaster.sites if said.disaster is not None and kind is DrillKind.REGION_LOSS else ()
    return any(set(names) <= set(one.instances) for one in sites)
