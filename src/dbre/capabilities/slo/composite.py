"""Several SLOs seen as one: what a service that needs them all, or most of them, has left."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from math import prod

from dbre.capabilities.slo.model import SloStatus

__all__ = ["Composite", "CompositeStatus", "Join", "Member", "combine", "combined"]


class Join(StrEnum):
    """How members become one."""

    WEIGHTED = "weighted"  # each spends its weight's part of the whole budget
    WORST = "worst"  # the member with the least budget left
    JOURNEY = "journey"  # a user needs all of them, one after the other


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One SLO of a composite."""

    slo: str
    weight: Fraction = Fraction(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Composite:
    """Some SLOs under one name; it has one instance on each cluster on which all of them have one."""

    name: str
    description: str
    join: Join
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompositeStatus:
    """A composite on one cluster. ``ratio`` and budget are None where a member was not measured: nobody can tell."""

    composite: Composite
    cluster: str
    ratio: Fraction | None
    objective: Fraction  # what follows from those of the members
    remaining_ratio: Fraction | None
    worst: str  # the member with the least budget left
    members: tuple[SloStatus, ...]


def combine(composite: Composite, members: Sequence[SloStatus]) -> CompositeStatus:
    """The state of a composite from those of its members on one cluster, in their order.

    *Weighted*: weights are divided by their sum, so that the budget of the whole is one; ratio and objective are the weighted
    means. *Journey*: ratio and objective are the products, and the budget is what their product leaves:
    ``1 - (1 - ratio) / (1 - objective)``. *Worst*: those of the worst member.
    """
    weights = [one.weight for one in composite.members]
    objectives = [Fraction(one.objective) for one in members]
    remaining = [one.budget.remaining_ratio for one in members]
    worst = min(range(len(members)), key=lambda index: remaining[index])
    ratios = [one.ratio for one in members]
    known = [one for one in ratios if one is not None]
    is_known = len(known) == len(ratios)
    match composite.join:
        case Join.WEIGHTED:
            objective, ratio, left = (
                _mean(values, weights) for values in (objectives, known if is_known else objectives, remaining)
            )
        case Join.JOURNEY:
            objective, ratio = prod(objectives, start=Fraction(1)), prod(known, start=Fraction(1))
            left = 1 - (1 - ratio) / (1 - objective)
        case Join.WORST:
            objective, ratio, left = objectives[worst], known[worst] if is_known else Fraction(0), remaining[worst]
    return CompositeStatus(
        composite=composite,
        cluster=members[0].cluster,
        ratio=ratio if is_known else None,
        objective=objective,
        remaining_ratio=left if is_known else None,
        worst=members[worst].id,
        members=tuple(members),
    )


def combined(composites: Sequence[Composite], statuses: Sequence[SloStatus], clusters: Sequence[str]) -> list[CompositeStatus]:
    """Each composite on each of the clusters on which all of its members are; groups are no members."""
    known = {(one.name, one.cluster): one for one in statuses if not one.group}
    found = []
    for composite in composites:
        for cluster in clusters:
            members = [known.get((member.slo, cluster)) for member in composite.members]
            if all(one is not None for one in members):
                found.append(combine(composite, [one for one in members if one is not None]))
    return found


def _mean(values: Sequence[Fraction], weights: Sequence[Fraction]) -> Fraction:
    return sum((value * weight for value, weight in zip(values, weights, strict=True)), Fraction(0)) / sum(weights)
