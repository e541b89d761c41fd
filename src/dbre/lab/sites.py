"""What the configuration of a lab says of its sites: the plan for the loss of one."""

from collections.abc import Sequence

from dbre.lab.model import LabSpec

__all__ = ["disaster_lines", "servers_by_site"]


def servers_by_site(spec: LabSpec) -> dict[str, tuple[str, ...]]:
    """Servers take turns: the first in the first site, the second in the second."""
    found: dict[str, list[str]] = {}
    for number, name in enumerate(spec.server_names):
        found.setdefault(f"site-{number % spec.sites + 1}", []).append(name)
    return {site: tuple(names) for site, names in found.items()}


def disaster_lines(spec: LabSpec, *, has_section: bool) -> Sequence[str]:
    """The lines of the lab's ``dbre.yaml`` with the plan, to follow its section ``ha`` if it has one; none with one site."""
    sites = servers_by_site(spec)
    if len(sites) < 2:
        return []
    section = [] if has_section else ["ha:", "  clusters:", f"    - cluster: {spec.name}"]
    return [
        *section,
        "      disaster:",
        "        sites:",
        *(f"          - {{name: {site}, instances: [{', '.join(names)}]}}" for site, names in sites.items()),
        "        objectives: {rpo: 10s, rto: 1m}",
    ]
