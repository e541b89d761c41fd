"""Whether anybody but the two sites themselves can tell that one of them is lost. Pure."""

from collections.abc import Mapping

from dbre.capabilities.ha.disaster.plan_document import DisasterPlan
from dbre.ports.succession import Obstacle
from dbre.ports.topology import Contact

__all__ = ["witness_reason", "witnesses"]


def witnesses(plan: DisasterPlan, one: str | None, other: str | None) -> tuple[str, ...]:
    """The observers at sites apart from two."""
    return tuple(name for site in plan.sites if site.name not in (one, other) for name in site.observers)


def witness_reason(plan: DisasterPlan, primary: str, candidate: str, heard: Mapping[str, Contact]) -> Obstacle | None:
    """A reason for or against a promotion that nobody asked for; None where it stays within one site.

    ``heard``: what each observer says of the primary. A witness that says nothing is none: it may be cut off from us as well.
    """
    here, there = plan.site_of(primary), plan.site_of(candidate)
    if here is None or there is None or here is there:
        return None
    named = witnesses(plan, here.name, there.name)
    found = [one for one in named if heard.get(one, Contact.UNKNOWN).is_silence]
    return Obstacle(
        rule="third_site",
        subject=candidate,
        value=f"silent for {', '.join(found)} at a third site, too"
        if found
        else f"no observer at a third site {'bears it out' if named else 'is named'}: {here.name} and {there.name} cannot tell "
        "the loss of the other from a cut line",
        limit="an observer at a third site that does not hear the primary either, or a person who decides",
        source="disaster: sites: observers, and their reports",
        remedy="a person fails it over: dbre ha failover for one instance, dbre ha dr failover for a site",
        is_met=bool(found),
        is_blocking=True,
    )
