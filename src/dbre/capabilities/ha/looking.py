"""Sweeps for commands: the status of a cluster, and the lag of its replicas."""

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

from dbre.capabilities.ha.consulted import Consult, Consulted
from dbre.capabilities.ha.discovery import discover
from dbre.capabilities.ha.evidence import evidence_of, suspect_of
from dbre.capabilities.ha.findings import findings_of
from dbre.capabilities.ha.lag import ReplicaLag, lags_of
from dbre.capabilities.ha.model import Topology
from dbre.capabilities.ha.nodes import Nodes, views_of
from dbre.capabilities.ha.verdict import Judgement, judge
from dbre.core.checks import Finding, worst_first
from dbre.core.errors import UsageError
from dbre.core.fleet import Cluster, Fleet, Instance, UnknownInstance
from dbre.core.secrets import prepare_secrets
from dbre.core.text import closest, quoted
from dbre.ports.engine import EngineRegistry

__all__ = ["Status", "read_lag", "read_status", "seeds_of"]

_HERE = "here"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A topology, how far its replicas are behind, what is wrong with it, and what is to be thought of its primary."""

    topology: Topology
    lags: list[ReplicaLag]
    findings: list[Finding]
    judgement: Judgement | None
    consulted: Consulted | None = None  # None: the servers are on their own


async def read_status(
    engines: EngineRegistry,
    fleet: Fleet,
    cluster: Cluster,
    *,
    seed: str | None,
    slot_limit_bytes: int,
    consult: Consult | None = None,
    nodes: Nodes | None = None,
) -> Status:
    """Sweep once, from the seed or from all instances of a cluster, and consult who else knows who is primary.

    ``nodes`` are kept by the caller for the next sweep; None: sessions of this sweep alone.

    Raises: UnknownInstance, SecretUnavailable.
    """
    asked = asyncio.create_task(_consulted(consult))
    try:
        topology, lags = await read_lag(engines, fleet, cluster, seed=seed, nodes=nodes)
        consulted = await asked
    finally:
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
    findings = findings_of(topology, slot_limit_bytes=slot_limit_bytes)
    told = consulted.holder() if consulted is not None else None
    suspect = suspect_of(topology) or (topology.node(told) if told is not None else None)
    evidence = evidence_of(topology, findings, observer=_HERE, suspect=suspect)
    if consulted is not None:
        findings = _joined(findings, consulted.findings(topology))
        evidence = replace(evidence, lease=consulted.lease(topology)) if evidence is not None else None
    judgement = judge(evidence) if evidence is not None else None
    return Status(topology=topology, lags=lags, findings=findings, judgement=judgement, consulted=consulted)


async def _consulted(consult: Consult | None) -> Consulted | None:
    return None if consult is None else await consult()


def _joined(seen: Sequence[Finding], told: Sequence[Finding]) -> list[Finding]:
    """What the databases show comes before what others tell of the same."""
    known = {(one.rule, one.subject) for one in seen}
    return worst_first([*seen, *(one for one in told if (one.rule, one.subject) not in known)])


async def read_lag(
    engines: EngineRegistry, fleet: Fleet, cluster: Cluster, *, seed: str | None = None, nodes: Nodes | None = None
) -> tuple[Topology, list[ReplicaLag]]:
    """Sweep, then read the replicas again: so upstreams were read before them. Raises: UnknownInstance, SecretUnavailable."""
    await prepare_secrets([cluster.password])
    async with Nodes(engines, fleet) if nodes is None else nullcontext(nodes) as asked:
        topology = await discover(asked, fleet, cluster, seeds=seeds_of(cluster, seed))
        followers = {edge.downstream for edge in topology.edges}
        again = [one.instance for one in topology.nodes if one.name in followers]
        after = views_of(await asyncio.gather(*(asked.ask(one) for one in again)))
    return topology, lags_of(topology, after)


def seeds_of(cluster: Cluster, seed: str | None) -> tuple[Instance, ...]:
    """The instance of that name, or all of the cluster. Raises: UnknownInstance, UsageError where there is none."""
    if not cluster.instances:
        raise UsageError(f"cluster {cluster.name} has no instances", hint="add them under fleet: clusters: in dbre.yaml")
    if seed is None:
        return cluster.instances
    found = tuple(one for one in cluster.instances if one.name == seed)
    if not found:
        names = [one.name for one in cluster.instances]
        near = closest(seed, names)
        hint = f"did you mean {near}?" if near else f"it has {', '.join(names)}"
        raise UnknownInstance(f"cluster {cluster.name} has no instance {quoted(seed, limit=100)}", hint=hint)
    return found
