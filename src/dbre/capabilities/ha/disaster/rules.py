"""Whether a plan for the loss of a site would hold now: every promise with what was seen, and the remedy. Pure."""

from collections.abc import Iterator
from datetime import datetime

from dbre.capabilities.ha.disaster.findings import rehearsal_obstacle
from dbre.capabilities.ha.disaster.measures import Action
from dbre.capabilities.ha.disaster.surveying import DisasterSurvey
from dbre.core.text import counted, printable
from dbre.core.units import format_bytes, format_duration
from dbre.ports.succession import Obstacle

__all__ = ["checks_of"]


def checks_of(found: DisasterSurvey, *, now: datetime) -> list[Obstacle]:
    """In the order in which a person reads them."""
    return [
        _primary(found),
        _candidate(found),
        *_loss(found),
        _outage(found),
        *_fences(found),
        _automatic(found),
        _approval(found),
        *_routes(found),
        *_failback(found),
        rehearsal_obstacle(found.cluster.name, found.plan, found.runs.get(Action.REHEARSE), now=now),
    ]


def _check(
    rule: str, subject: str, value: str, limit: str, *, source: str, remedy: str, is_met: bool, is_blocking: bool = True
) -> Obstacle:
    return Obstacle(
        rule=rule,
        subject=subject,
        value=printable(value, limit=600),
        limit=limit,
        source=source,
        remedy=remedy,
        is_met=is_met,
        is_blocking=is_blocking,
    )


def _primary(found: DisasterSurvey) -> Obstacle:
    name, home = found.cluster.name, found.plan.home.name
    if found.primary is None or found.here is None:
        value = "no instance, or more than one, takes writes"
    else:
        value = f"{found.primary} at {found.here.name}"
    return _check(
        "primary_at_home",
        name,
        value,
        f"one primary, at {home}",
        source="a sweep from here",
        remedy=f"lead it back: dbre ha dr failback {name}" if found.primary is not None else f"dbre ha status {name}",
        is_met=found.here is not None and found.here.name == home,
        is_blocking=found.primary is None,
    )


def _candidate(found: DisasterSurvey) -> Obstacle:
    exposure = found.exposure
    receiving = [one for one in found.there.instances if one in found.exposures and found.exposures[one].is_receiving]
    return _check(
        "candidate",
        found.there.name,
        f"{found.candidate} would take over; receiving there: {counted(len(receiving), 'replica')}"
        if found.candidate is not None
        else "no replica answers there",
        "a replica that receives",
        source="a sweep from here",
        remedy=f"start it, or let it follow: dbre ha rejoin {found.cluster.name} INSTANCE",
        is_met=exposure is not None and exposure.is_receiving,
    )


def _loss(found: DisasterSurvey) -> Iterator[Obstacle]:
    exposure, plan = found.exposure, found.plan
    text = exposure.text if exposure is not None else f"nobody at {found.there.name} would take over"
    lack = exposure.bytes if exposure is not None else None
    age = exposure.seconds if exposure is not None else None
    rpo = plan.objectives.rpo.total_seconds()
    yield _check(
        "loss_now",
        found.there.name,
        f"promoting {found.candidate} now loses {text}" if exposure is not None else text,
        f"at most {format_duration(rpo)} of writes (objectives: rpo)",
        source="positions and heartbeats",
        remedy="see which stage is behind: dbre ha lag; synchronous replication to that site loses nothing",
        is_met=age is not None and age <= rpo,
        is_blocking=age is not None or exposure is None,
    )
    is_near = lack is None or lack <= plan.max_lag
    yield _check(
        "lag",
        found.there.name,
        text,
        f"{format_bytes(plan.max_lag)}, {format_duration(plan.max_lag_time.total_seconds())}",
        source="positions and heartbeats",
        remedy="wait, or find out what holds it up: dbre ha lag",
        is_met=exposure is not None and is_near and (age is None or age <= plan.max_lag_time.total_seconds()),
    )


def _outage(found: DisasterSurvey) -> Obstacle:
    """By the last time that it was done in earnest; a rehearsal promotes nobody."""
    done = [found.runs[one] for one in (Action.FAILOVER, Action.SWITCH) if one in found.runs]
    last = max(done, key=lambda one: one.began_at, default=None)
    rto = found.plan.objectives.rto.total_seconds()
    took = last.run.achieved_rto_seconds if last is not None else None
    if last is None or took is None:
        value = "never measured: sites were never switched"
    else:
        value = f"{format_duration(round(took, 3))} in the {last.run.action} of {last.began_at:%Y-%m-%d %H:%M} UTC"
    return _check(
        "rto",
        found.cluster.name,
        value,
        f"at most {format_duration(rto)} (objectives: rto)",
        source="what was kept of earlier operations",
        remedy=f"measure it: dbre ha dr switch {found.cluster.name}",
        is_met=took is not None and took <= rto,
        is_blocking=took is not None,
    )


def _fences(found: DisasterSurvey) -> Iterator[Obstacle]:
    for name, ladder in found.ladders.items():
        rungs = ", ".join(one.name for one in ladder.rungs)
        problems = "; ".join(ladder.problems)
        is_attested = found.plan.attestation
        yield _check(
            "fence",
            name,
            f"{rungs or 'none'}{f'; {problems}' if problems else ''}",
            "a rung that can be tried from here" + (", or a person's word" if is_attested else ""),
            source="failover: fence, tried without acting",
            remedy="say how it is stopped or cut off from the other site: failover: fence: kind: command"
            + (f"; or attest: dbre ha dr failover {found.cluster.name} --attested-by NAME" if is_attested else ""),
            is_met=bool(ladder.rungs),
            is_blocking=not is_attested,
        )


def _automatic(found: DisasterSurvey) -> Obstacle:
    """Two places that do not hear each other cannot know which of them is cut off."""
    here = found.here.name if found.here is not None else found.plan.home.name
    reason = f"{here} and {found.there.name} cannot tell the loss of the other from a cut line between them"
    if found.manager is not None:
        value, is_met = f"{found.manager} chooses the primary, by the majority of its store", True
    elif found.witnesses:
        value, is_met = f"{', '.join(found.witnesses)} observe from a third site; auto is {_on(found)}", True
    else:
        value, is_met = f"no observer at a third site; auto is {_on(found)}: {reason}", not found.is_automatic
    return _check(
        "no_automatic_promotion",
        found.cluster.name,
        value,
        "off, unless a third site has observers",
        source="failover: auto, disaster: sites: observers",
        remedy="run dbre ha observe at a third site and name it under sites, or switch failover: auto off",
        is_met=is_met,
    )


def _on(found: DisasterSurvey) -> str:
    return "on" if found.is_automatic else "off"


def _approval(found: DisasterSurvey) -> Obstacle:
    people, is_production = found.plan.people_for(found.cluster.environment), found.cluster.environment == "production"
    value = "one person decides" if people == 1 else f"{people} people consent, the requester counted"
    if found.has_identities and people == 1:
        value = "the plan asks one person; whom gates: approvals asks besides is asked, too"
    if not found.has_identities and found.plan.people is None:
        people, value = 1, "one person decides: no identities are configured"
    elif not found.has_identities and people > 1:
        value += "; no identities are configured, so nobody can: every operation of the plan waits for ever"
    return _check(
        "approval",
        found.cluster.name,
        value,
        "two people" if is_production else "as the plan says",
        source="disaster: people, access",
        remedy="configure identities (access:), or say people: 1",
        is_met=(people == 1 or found.has_identities) and (people > 1 or not is_production),
        is_blocking=people > 1,
    )


def _routes(found: DisasterSurvey) -> Iterator[Obstacle]:
    for name, problem in found.route_problems.items():
        yield _check("route", name, problem, "can be turned", source="the route", remedy="dbre ha route check", is_met=False)
    for name, checks in found.route_checks.items():
        for one in checks:
            yield _check(
                "route",
                f"{name}: {one.name}",
                one.seen,
                one.wanted,
                source="the route",
                remedy=one.remedy or "dbre ha route check",
                is_met=one.is_ok,
                is_blocking=not one.is_advice,
            )
    if not found.route_checks and not found.route_problems:
        yield _check(
            "route",
            found.cluster.name,
            "no route is known: clients find the new primary by themselves, or not",
            "one that leads clients to the other site",
            source="ha: clusters: routes",
            remedy="name one: routes: - name: dns ...",
            is_met=False,
            is_blocking=False,
        )


def _failback(found: DisasterSurvey) -> Iterator[Obstacle]:
    """What comes back has to be stopped, rewound and started: somebody must know how."""
    home = found.plan.home
    silent = [one for one in home.instances if _uncontrolled(found, one)]
    if found.manager is not None:
        silent = []
    yield _check(
        "failback",
        home.name,
        f"nothing says how {', '.join(silent)} is stopped and started" if silent else "each instance can be led back",
        "control: of each instance of home",
        source="the inventory",
        remedy="add control: to the instance; until then it is led back by hand",
        is_met=not silent,
        is_blocking=False,
    )


def _uncontrolled(found: DisasterSurvey, name: str) -> bool:
    return next(one for one in found.cluster.instances if one.name == name).control is None
