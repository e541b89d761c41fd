"""The answer to "may it be done, and with whom": used by ``--check``, by the plan, and by nothing that changes anything."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dbre.capabilities.ha.lag import ReplicaLag
from dbre.capabilities.ha.model import Topology
from dbre.capabilities.ha.switchover.candidates import Candidate, candidates_of, chosen
from dbre.capabilities.ha.switchover.checks import CheckState, PreCheck
from dbre.capabilities.ha.switchover.ground import SwitchoverGround, Timing
from dbre.capabilities.ha.switchover.handing_over import HandOver
from dbre.capabilities.ha.switchover.readiness import readiness
from dbre.capabilities.ha.switchover.readiness_rules import readiness_checks
from dbre.capabilities.ha.switchover.rules import cluster_checks, route_check
from dbre.capabilities.ha.switchover.survey import Survey, survey
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster
from dbre.core.text import printable

__all__ = ["Assessment", "assess"]

_KEPT_BY_A_MANAGER = ("process_controlled", "privileges", "replication_login", "lets_replication_in")
"""Checks of what dbre needs to do it itself; who manages the cluster needs them not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """Everything that was seen, and what follows from it."""

    survey: Survey
    primary: str | None
    candidates: tuple[Candidate, ...]
    candidate: Candidate | None
    checks: tuple[PreCheck, ...]
    hand_over: HandOver | None  # who does it; None: dbre or the engine
    timing: Timing | None  # of the last one
    asked: str | None = None  # whom the user named

    @property
    def failed(self) -> list[PreCheck]:
        """Because of which nothing is begun."""
        return [one for one in self.checks if one.state is CheckState.FAIL]


async def assess(
    ground: SwitchoverGround,
    cluster: Cluster,
    *,
    to: str | None,
    purpose: str,
    seen: tuple[Topology, Sequence[ReplicaLag]] | None = None,
) -> Assessment:
    """Look at everything but what was ``seen`` already; changes nothing. Raises: UnknownInstance, SecretUnavailable."""
    found = await survey(ground, cluster, purpose=purpose, seen=seen)
    limits, hand_over = ground.limits(cluster.name), ground.hand_over_of(cluster)
    if hand_over is not None:
        found = replace(found, kept=hand_over.sets)
    checks = cluster_checks(found)
    primaries = [one.name for one in found.topology.primaries if one.instance.cluster == cluster.name]
    primary = primaries[0] if len(primaries) == 1 else None
    ranked: list[Candidate] = []
    candidate = None
    if primary is not None:
        ranked = candidates_of(found, primary, limits, without=() if hand_over is None else _KEPT_BY_A_MANAGER)
        candidate = chosen(ranked, found.instances, asked=to, old=primary, cluster=cluster.name)
        checks.append(_has_candidate(cluster, ranked, candidate, to, primary))
    if primary is not None and candidate is not None:
        around = await readiness(ground, cluster, primary, candidate.name, purpose=purpose)
        checks += [*candidate.checks, *await _route_checks(ground, cluster, candidate.name)]
        checks += readiness_checks(found, around, primary, candidate.name, limits)
        if hand_over is not None:
            checks += await hand_over.check(cluster, found.instances[primary], found.instances[candidate.name])
    return Assessment(
        survey=found,
        primary=primary,
        candidates=tuple(ranked),
        candidate=candidate,
        checks=tuple(checks),
        hand_over=hand_over,
        timing=await ground.last_timing(cluster.name),
        asked=to,
    )


def _has_candidate(
    cluster: Cluster, ranked: Sequence[Candidate], candidate: Candidate | None, asked: str | None, primary: str
) -> PreCheck:
    is_ok = candidate is not None and not candidate.is_never
    if asked == primary:
        value = f"{primary} is the primary already"
    elif asked is not None and candidate is None:
        value = f"{printable(asked, limit=100)} is no replica that answers"
    elif candidate is not None:
        value = f"{candidate.name}{' is never to be primary' if candidate.is_never else ''}"
    else:
        value = "no replica answers" if not ranked else "none may become primary"
    return PreCheck(
        rule="candidate_exists",
        subject=cluster.name,
        state=CheckState.OK if is_ok else CheckState.FAIL,
        value=value,
        limit="a replica that answers",
        source="topology",
        remedy="dbre ha status shows who follows; --to INSTANCE names another one",
    )


async def _route_checks(ground: SwitchoverGround, cluster: Cluster, new: str) -> list[PreCheck]:
    address = next(one.address for one in cluster.instances if one.name == new)
    found: list[PreCheck] = []
    for route in ground.routes(cluster):
        try:
            found += [route_check(route.name, one) for one in await route.check(address)]
        except DbreError as error:
            found.append(
                PreCheck(
                    rule="route_can_be_turned",
                    subject=f"route {route.name}",
                    state=CheckState.FAIL,
                    value=printable(error.message, limit=300),
                    limit="can be turned",
                    source=route.kind,
                    remedy=error.hint,
                )
            )
    return found
