"""Observers of a lab: a network namespace for each, what its configuration says of them, and how they are started."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from dbre.lab.model import LabSpec
from dbre.lab.network.network import Network

__all__ = ["observer_commands", "observer_lines"]

_CONTROL_PLANE = "control-plane"


def observer_lines(spec: LabSpec, *, has_section: bool) -> Sequence[str]:
    """The lines of the lab's ``dbre.yaml`` that name them, to follow its section ``ha`` if it has one; none without any.

    The control plane is one more: it sees the servers from this machine, whose way there is its own.
    """
    if not spec.observer_names:
        return []
    names = ", ".join((*spec.observer_names, _CONTROL_PLANE))
    section = [] if has_section else ["ha:", "  clusters:", f"    - cluster: {spec.name}"]
    return [*section, "      failover:", f"        observers: [{names}]"]


def observer_commands(spec: LabSpec, *, directory: Path, config_file: Path) -> dict[str, str]:
    """How each is started, as root types it: by its name. Raises: LabError."""
    if not spec.observer_names:
        return {}
    hosts = Network.open(directory).hosts
    dbre = [sys.executable, "-P", "-m", "dbre", "-c", str(config_file)]
    return {
        name: shlex.join(["ip", "netns", "exec", str(hosts[name].namespace), *dbre, "ha", "observe", "--as", name])
        for name in spec.observer_names
    }
