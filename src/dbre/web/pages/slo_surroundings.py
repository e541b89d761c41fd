"""What an SLO is a part of, what its parts are, and which times do not count."""

from collections.abc import Sequence
from dataclasses import dataclass

from dbre.capabilities.slo import SloStatus
from dbre.capabilities.slo.composite import CompositeStatus, combined
from dbre.capabilities.slo.correction import Correction
from dbre.capabilities.slo.correction_repository import load_corrections
from dbre.core.identity.model import Principal
from dbre.web.services import Services
from dbre.web.sight import seen_statuses

__all__ = ["Surroundings", "surroundings_of"]

_GROUPS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Of one instance: the least budget first."""

    groups: Sequence[SloStatus]  # of a roll-up, at most 200
    group_count: int
    whole: SloStatus | None  # the roll-up of a group
    composites: Sequence[CompositeStatus]  # of which it is a member
    corrections: Sequence[Correction]  # that hold within its window or ahead


async def surroundings_of(wired: Services, principal: Principal, status: SloStatus) -> Surroundings:
    """Read them."""
    seen = seen_statuses(wired, principal, await wired.slo_status())
    siblings = [one for one in seen if (one.name, one.cluster) == (status.name, status.cluster)]
    groups = sorted((one for one in siblings if one.group), key=lambda one: (one.budget.remaining_ratio, one.group))
    mine = [one for one in wired.composites if not status.group and status.name in {member.slo for member in one.members}]
    async with wired.store.read() as connection:
        found = await load_corrections(connection, since_slot=status.at.start_slot)
    names = (status.name, status.cluster)
    return Surroundings(
        groups=groups[:_GROUPS] if not status.group else (),
        group_count=len(groups),
        whole=next((one for one in siblings if not one.group), None) if status.group else None,
        composites=combined(mine, seen, [status.cluster]),
        corrections=[one for one in found if (one.slo, one.cluster) == names and one.group in ("", status.group)],
    )
