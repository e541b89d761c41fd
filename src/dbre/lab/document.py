"""The configuration with which ``dbre server`` watches a lab."""

import json
from collections.abc import Sequence
from pathlib import Path

from dbre.lab.control import control_of, replication_login
from dbre.lab.server import LabServer

__all__ = ["configuration"]


def configuration(
    *,
    name: str,
    servers: Sequence[LabServer],
    user: str,
    directory: Path,
    patroni: Sequence[str] = (),
    sentinels: Sequence[str] = (),
    observers: Sequence[str] = (),
    disaster: Sequence[str] = (),
) -> str:
    """A ``dbre.yaml`` with the fleet and objectives to begin with; the password stays in its own file beside it.

    ``patroni`` are the lines of the section ``ha`` where Patroni chooses the primary, ``sentinels`` those where Sentinels do,
    ``observers`` those that say who watches it, ``disaster`` those of the plan for the loss of a site.
    """
    primary = servers[0]
    lines = [
        f"# The lab {name!r}, written by dbre lab up; goes away with dbre lab down --name {name}.",
        "state:",
        '  url: "sqlite:///dbre.db"',
        "fleet:",
        "  clusters:",
        f"    - name: {name}",
        "      environment: lab",
        f"      engine: {primary.engine}",
        f"      user: {user}",
        "      password: file:password",
        "      tls: disable  # everything stays on this machine",
        *replication_login(primary),
        *([f"      databases: [{primary.observer_database}]"] if primary.observer_database else []),
        "      instances:",
        *(line for one in servers for line in _instance(one, lab=name, is_controlled=not patroni)),
        *patroni,
        *sentinels,
        *observers,
        *disaster,
        "probe:",
        "  interval: 2s",
        "  total_timeout: 1500ms",
        "  connect_timeout: 1s",
        "  statement_timeout: 500ms",
        "slos:",
        *_objective(name, "writes", "{kind: availability, purpose: write}", "99.9%"),
        *_objective(name, "reads", "{kind: availability, purpose: read}", "99.9%"),
        *_objective(name, "write-latency", "{kind: latency, query_class: write, threshold: 100ms}", "99%"),
        *(_objective(name, "freshness", "{kind: freshness, max_age: 10s}", "99%") if len(servers) > 1 else []),
        *_suite(name, directory),
    ]
    return "\n".join(lines) + "\n"


def _instance(server: LabServer, *, lab: str, is_controlled: bool) -> list[str]:
    lines = [f"        - {{name: {server.name}, host: {server.address.host}, port: {server.address.port}}}"]
    if is_controlled:  # else Patroni starts and stops it
        lines[0] = lines[0].removesuffix("}") + ","
        lines.append(f"           control: {control_of(server, lab=lab)}}}")
    return lines


def _objective(cluster: str, name: str, sli: str, target: str) -> list[str]:
    return [
        f"  - name: {cluster}-{name}",
        f"    selector: {{cluster: {cluster}}}",
        f"    sli: {sli}",
        f'    target: "{target}"',
        "    window: {rolling: 7d}",
    ]


def _suite(cluster: str, directory: Path) -> list[str]:
    """What the suite of experiments has to be told: a lab shares its disk with the machine, so only a little of it is taken."""
    return [
        "chaos:",
        "  suites:",
        f"    - name: {cluster}",
        f"      selector: {{cluster: {cluster}}}",
        "      entries:",
        "        disk-pressure:  # the disk is the machine's: fill a disk of its own with leave instead of size",
        "          fault: disk-ballast",
        f"          parameters: {{directory: {json.dumps(str(directory))}, size: 256MB}}",
    ]
