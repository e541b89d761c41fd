"""The section ``ha`` of a lab's configuration: where Patroni and its etcd are."""

from collections.abc import Sequence

from dbre.lab.model import LabSpec
from dbre.lab.patroni.cluster import PatroniCluster
from dbre.lab.patroni.configuration import REST_USER

__all__ = ["patroni_section"]


def patroni_section(cluster: PatroniCluster, spec: LabSpec) -> Sequence[str]:
    """Its lines; the password stays in its own file beside it."""
    first = cluster.nodes[0]
    return [
        "ha:",
        "  clusters:",
        f"    - cluster: {spec.name}",
        "      patroni:",
        f"        urls: [{', '.join(cluster.urls)}]",
        f"        user: {REST_USER}",
        f"        password: file:{first.name}/password",
        f"        preset: {spec.patroni}",
        "        etcd:",
        f"          urls: [{', '.join(one.url for one in cluster.etcd)}]",
    ]
