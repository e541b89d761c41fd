"""Which server of a lab is where in its network, and how far apart its sites are."""

from collections.abc import Sequence
from pathlib import Path

from dbre.lab.model import LabSpec
from dbre.lab.network.links import lines_between, start_links
from dbre.lab.network.network import Network
from dbre.lab.site import Site
from dbre.lab.sites import servers_by_site

__all__ = ["build_network", "places"]


def build_network(spec: LabSpec, directory: Path) -> None:
    """Make the network that a lab asks for, a host for each server and observer; nothing where it is on loopback. It blocks.

    Raises: Unsupported, NetworkFailed, ServerFailed.
    """
    if not spec.is_networked:
        return
    network = Network.create(directory)
    for name in (*spec.server_names, *spec.observer_names):
        network.host(name)
    if spec.sites > 1 and spec.round_trip_seconds > 0:
        start_links(directory, lines_between(directory, _by_site(spec, network), round_trip_seconds=spec.round_trip_seconds))


def places(spec: LabSpec, site: Site) -> Sequence[Site]:
    """The site of each server in turn: all on loopback, or each at its host. Raises: LabError."""
    if not spec.is_networked:
        return [site] * len(spec.server_names)
    network = Network.open(site.directory)
    return [site.at(network.host(name)) for name in spec.server_names]


def _by_site(spec: LabSpec, network: Network) -> dict[str, dict[str, str]]:
    hosts = network.hosts
    return {
        site: {str(hosts[name].namespace): hosts[name].address for name in names}
        for site, names in servers_by_site(spec).items()
    }
