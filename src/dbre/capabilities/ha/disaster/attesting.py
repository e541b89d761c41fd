"""A person's word that a site is dead: what it stands for, and what it does not stand against."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from dbre.capabilities.ha.disaster.documents import SiteFailoverInput
from dbre.capabilities.ha.disaster.plan_document import SiteDocument
from dbre.capabilities.ha.evidence import evidence_of
from dbre.capabilities.ha.failover.ground import FailoverGround
from dbre.capabilities.ha.failover.surveying import Survey
from dbre.capabilities.ha.fencing.rung import FenceFailed
from dbre.capabilities.ha.nodes import Nodes
from dbre.capabilities.ha.verdict import DEAD, Verdict, judge
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster, Instance
from dbre.core.text import printable
from dbre.ports.succession import Obstacle
from dbre.ports.topology import Contact

__all__ = ["attestation", "see_no_process", "silent_instances", "without_way"]

_NODE_SECONDS = 2.0


def attestation(found: Survey, site: SiteDocument, asked: SiteFailoverInput, *, is_allowed: bool) -> tuple[Obstacle, ...]:
    """The word, as a reason; nothing where nobody gave one."""
    if asked.attested_by is None:
        return ()
    return (
        Obstacle(
            rule="attested",
            subject=site.name,
            value=printable(f"{asked.attested_by} vouches that it is dead: {asked.attested}", limit=600),
            limit="a person's word, where the plan lets it stand for a fence",
            source="disaster: attestation",
            remedy=f"fence it: failover: fence: of {found.situation.cluster.name}; or attestation: true in the plan",
            is_met=is_allowed,
            is_blocking=True,
        ),
    )


def without_way(found: Survey, reason: Obstacle, *, is_vouched: bool) -> Obstacle:
    """Where nothing from here finds a way to the primary, that speaks neither for its death nor against a person's word."""
    if reason.rule != "replicas_lost_it" or reason.is_met or found.situation.contact is not Contact.UNKNOWN:
        return reason
    name, seen = found.situation.primary.name, _if_silent(found)
    words = ", ".join(one.value for one in seen) or "nothing"
    value = f"there is no way from here to {name}, which tells nothing of it; if it is silent, this is {words}"
    is_lost = bool(seen) and seen[0] in DEAD
    remedy = (
        "ask from where there is a way, or a person who knows says so: --attested-by NAME --because TEXT"
        if is_lost
        else reason.remedy
    )
    return replace(reason, value=printable(value, limit=600), remedy=remedy, is_met=is_vouched and is_lost)


def _if_silent(found: Survey) -> tuple[Verdict, ...]:
    """What the sweep would say if the primary were silent, and not only out of reach."""
    topology = found.situation.topology
    node = topology.node(found.situation.primary.name)
    silent = replace(node, contact=Contact.TIMEOUT) if node is not None else None
    evidence = evidence_of(topology, [], observer="here", suspect=silent)
    return judge(evidence).verdicts if evidence is not None else ()


async def silent_instances(ground: FailoverGround, cluster: Cluster, wanted: Sequence[Instance]) -> list[Instance]:
    """Those that answer nobody here."""
    assert all(one.cluster == cluster.name for one in wanted)  # noqa: S101 - of one cluster
    async with Nodes(ground.engines, ground.fleet, limit_seconds=_NODE_SECONDS) as nodes:
        found = await asyncio.gather(*(nodes.ask(one) for one in wanted))
    return [one for one, node in zip(wanted, found, strict=True) if not node.contact.is_alive]


async def see_no_process(
    ground: FailoverGround, cluster: Cluster, instance: Instance, *, word_of: str, after: FenceFailed
) -> None:
    """No word stands against what is seen. Raises: FenceFailed where its processes run here and could not be ended."""
    try:
        state = await ground.host(cluster, instance).state()
    except DbreError:  # nothing says where they would be
        return
    if state.is_seen and state.processes:
        shown = ", ".join(map(str, state.processes[:5]))
        raise FenceFailed(
            f"{word_of} vouches that {instance.name} is dead, and processes of it are there and do not end: {shown}",
            hint="end them, or cut off or switch off that machine, and plan again",
            context={"instance": instance.name, **after.context},
        ) from after
