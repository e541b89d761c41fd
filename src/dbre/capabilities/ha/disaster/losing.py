"""What it takes to call a site lost, and how the plan of a failover becomes that of a site. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from dbre.capabilities.ha.disaster.attesting import attestation, without_way
from dbre.capabilities.ha.disaster.documents import SiteFailoverInput
from dbre.capabilities.ha.disaster.plan_document import SiteDocument
from dbre.capabilities.ha.failover.fences import Ladder
from dbre.capabilities.ha.failover.surveying import Survey
from dbre.core.operation.context import StepContext
from dbre.core.operation.plan import Plan, Step
from dbre.core.text import printable
from dbre.ports.succession import Obstacle
from dbre.ports.topology import Contact

__all__ = ["fence_step", "lost_reasons", "lost_seconds", "peer_obstacle", "plan_for"]

_BEFORE_CHECKS = ("confirm", "fence")


def fence_step(context: StepContext) -> str:
    """The same name for whoever fences and whoever takes it back."""
    return context.token.operation_id.hex[-12:]


def lost_reasons(
    found: Survey, site: SiteDocument, asked: SiteFailoverInput, *, is_attestation_allowed: bool
) -> tuple[Obstacle, ...]:
    """The reasons of a failover, with the site in place of the instance."""
    is_vouched = asked.attested_by is not None and is_attestation_allowed
    given = [without_way(found, one, is_vouched=is_vouched) for one in found.decision.reasons]
    reasons = [one for one in given if one.rule != "fence" or asked.attested_by is None]
    return (*reasons, _site_lost(found, site), *attestation(found, site, asked, is_allowed=is_attestation_allowed))


def _site_lost(found: Survey, site: SiteDocument) -> Obstacle:
    nodes = [one for one in found.situation.topology.nodes if one.name in site.instances]
    alive = [one.name for one in nodes if one.contact.is_alive]
    wayless = [one.name for one in nodes if one.contact is Contact.UNKNOWN]
    silence = f"none of {', '.join(site.instances)} answers"
    silence += f"; there is no way from here to {', '.join(wayless)}" if wayless else ""
    return Obstacle(
        rule="site_lost",
        subject=site.name,
        value=f"{', '.join(alive)} answers" if alive else silence,
        limit="no instance of the site answers",
        source="a sweep from here",
        remedy=f"the site is there: dbre ha failover {found.situation.cluster.name} for one instance, dbre ha dr switch while "
        "its primary lives",
        is_met=not alive,
        is_blocking=True,
    )


def peer_obstacle(name: str, ladder: Ladder) -> Obstacle:
    """Whether another instance of the site can be fenced."""
    rungs = ", ".join(one.name for one in ladder.rungs)
    return Obstacle(
        rule="fence",
        subject=name,
        value=printable("; ".join([rungs or "none", *ladder.problems]), limit=600),
        limit="one rung at least that can be tried",
        source="failover: fence, and control: of the instance",
        remedy="say how it is cut off (failover: fence: kind: command), or attest: --attested-by NAME --because TEXT",
        is_met=bool(ladder.rungs),
        is_blocking=True,
    )


def plan_for(made: Plan, asked: SiteFailoverInput, site: SiteDocument, primary: str) -> Plan:
    """Every instance of the site is fenced, nobody there is told to follow, and the new primary is proved."""
    word = {"attested_by": asked.attested_by, "attested": asked.attested}
    peers = [one for one in site.instances if one != primary]
    who = made.steps[0].input
    pair = {key: who[key] for key in ("primary", "candidate")}
    steps: list[Step] = []
    for one in made.steps:
        if one.handler == "follow" and one.input["follower"] in site.instances:
            continue
        steps.append(replace(one, input={**one.input, **word}) if one.name in _BEFORE_CHECKS else one)
        if one.name == "fence":
            steps += [_peer(name) for name in peers]
    steps.append(
        Step("prove", summary=f"write to {pair['candidate']} and read back; keep what was measured", input=pair | word)
    )
    vouched = (
        (f"{asked.attested_by} vouches that {site.name} is dead; if it is not, there will be two primaries",)
        if asked.attested_by is not None
        else ()
    )
    return replace(
        made,
        summary=f"site {site.name} is lost: {made.summary}",
        steps=tuple(steps),
        blast_radius=(*made.blast_radius, f"whatever else runs at {site.name} stays without a primary"),
        warnings=(*vouched, *made.warnings),
        observed={**made.observed, "site": site.name, **word},
        tags=(),
    )


def _peer(name: str) -> Step:
    summary = f"fence {name}, at the same site, and see that it is"
    return Step(f"fence-peer:{name}", summary=summary, input={"instance": name}, undo="unfence-peer")


def lost_seconds(confirmed: Mapping[str, Any], assessed: Mapping[str, Any]) -> float | None:
    """How old what is lost may be: from the newest heartbeat that arrived to the last sign of life. None: nobody knows."""
    if confirmed["is_zero_promised"] or assessed["lost_bytes"] == 0:
        return 0.0
    if assessed["heartbeat_at"] is None:
        return None
    heard = datetime.fromisoformat(confirmed["began_at"]) - timedelta(seconds=confirmed["unheard_seconds"] or 0.0)
    return round(max((heard - datetime.fromisoformat(assessed["heartbeat_at"])).total_seconds(), 0.0), 3)
