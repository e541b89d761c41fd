"""The inventory."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel

from dbre.core.fleet import Cluster
from dbre.web.access import ApiAccess, ApiPrincipal, Wired
from dbre.web.api.listing import Listing, listing
from dbre.web.problems import ERRORS, NotFound
from dbre.web.sight import seen_clusters

__all__ = ["router"]

router = APIRouter(
    prefix="/clusters", tags=["fleet"], dependencies=[ApiAccess], responses={code: ERRORS[code] for code in (401, 403)}
)


class InstanceItem(BaseModel):
    """One server process."""

    name: str
    address: str


class EndpointItem(BaseModel):
    """How clients reach the cluster for one purpose."""

    purpose: str
    addresses: list[str]


class ClusterItem(BaseModel):
    """One replicated data set."""

    name: str
    environment: str
    engine: str
    labels: dict[str, str]
    databases: list[str]
    instances: list[InstanceItem]
    endpoints: list[EndpointItem]


def _item(cluster: Cluster) -> ClusterItem:
    return ClusterItem(
        name=cluster.name,
        environment=cluster.environment,
        engine=cluster.engine,
        labels=dict(cluster.labels),
        databases=list(cluster.databases),
        instances=[InstanceItem(name=one.name, address=str(one.address)) for one in cluster.instances],
        endpoints=[EndpointItem(purpose=one.purpose, addresses=[str(a) for a in one.addresses]) for one in cluster.endpoints],
    )


@router.get("")
async def list_clusters(wired: Wired, principal: ApiPrincipal) -> Listing[ClusterItem]:
    """The clusters that you may see, in the order of the inventory."""
    return listing("ClusterList", [_item(cluster) for cluster in seen_clusters(wired, principal)], wired.clock)


@router.get("/{name}", responses={404: ERRORS[404], 422: ERRORS[422]})
async def show_cluster(wired: Wired, principal: ApiPrincipal, name: Annotated[str, Path(max_length=200)]) -> ClusterItem:
    """One cluster."""
    for cluster in seen_clusters(wired, principal):
        if cluster.name == name:
            return _item(cluster)
    raise NotFound(f"the inventory has no cluster {name!r}")
