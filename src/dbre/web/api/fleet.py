"""The inventory."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel

from dbre.core.fleet import Cluster
from dbre.web.access import ApiAccess, Wired
from dbre.web.api.listing import Listing, listing
from dbre.web.problems import ERRORS, NotFound

__all__ = ["router"]

router = APIRouter(prefix="/clusters", tags=["fleet"], dependencies=[ApiAccess], responses={401: ERRORS[401]})


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
async def list_clusters(wired: Wired) -> Listing[ClusterItem]:
    """All clusters of the inventory, in its order."""
    return listing("ClusterList", [_item(cluster) for cluster in wired.fleet.clusters], wired.clock)


@router.get("/{name}", responses={404: ERRORS[404], 422: ERRORS[422]})
async def show_cluster(wired: Wired, name: Annotated[str, Path(max_length=200)]) -> ClusterItem:
    """One cluster."""
    for cluster in wired.fleet.clusters:
        if cluster.name == name:
            return _item(cluster)
    raise NotFound(f"the inventory has no cluster {name!r}")
