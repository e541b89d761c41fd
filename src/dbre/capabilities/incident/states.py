"""The states of an incident, and which may follow which; everything else is refused."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum

__all__ = ["ENDED", "OPEN", "REOPEN_WITHIN", "IncidentState", "may_follow", "next_states"]

REOPEN_WITHIN = timedelta(hours=24)
"""How long after its end an incident may be opened again; later, it is another incident."""


class IncidentState(StrEnum):
    """Where an incident stands; see ``docs/reference/incidents.md`` for the picture."""

    DETECTED = "detected"  # by an alert; nobody has looked yet
    DECLARED = "declared"  # a person says that it is one
    INVESTIGATING = "investigating"
    IDENTIFIED = "identified"  # the cause is known
    MITIGATED = "mitigated"  # users suffer no more, the cause may still be there
    MONITORING = "monitoring"  # every alert is over, or a person says so; it must stay quiet
    RESOLVED = "resolved"
    POSTMORTEM_DRAFT = "postmortem_draft"
    REVIEWED = "reviewed"
    CLOSED = "closed"
    MERGED = "merged"  # it was a part of another incident
    FALSE_POSITIVE = "false_positive"


_S = IncidentState
OPEN = frozenset({_S.DETECTED, _S.DECLARED, _S.INVESTIGATING, _S.IDENTIFIED, _S.MITIGATED, _S.MONITORING})
"""States in which it still goes on, and alerts join it."""

ENDED = frozenset({_S.RESOLVED, _S.POSTMORTEM_DRAFT, _S.REVIEWED, _S.CLOSED, _S.FALSE_POSITIVE})
"""States that are left only by what follows them, or by opening it again in time."""

_AWAY = frozenset({_S.RESOLVED, _S.MERGED, _S.FALSE_POSITIVE})
_WORK = frozenset({_S.INVESTIGATING, _S.IDENTIFIED, _S.MITIGATED, _S.MONITORING})
_NEXT: Mapping[IncidentState, frozenset[IncidentState]] = {
    _S.DETECTED: frozenset({_S.DECLARED}) | _WORK | _AWAY,
    _S.DECLARED: _WORK | _AWAY,
    _S.INVESTIGATING: (_WORK | _AWAY) - {_S.INVESTIGATING},
    _S.IDENTIFIED: (_WORK | _AWAY) - {_S.IDENTIFIED},
    _S.MITIGATED: (_WORK | _AWAY) - {_S.MITIGATED},
    _S.MONITORING: (_WORK | _AWAY) - {_S.MONITORING},
    _S.RESOLVED: frozenset({_S.POSTMORTEM_DRAFT, _S.CLOSED, _S.MERGED, _S.FALSE_POSITIVE}),
    _S.POSTMORTEM_DRAFT: frozenset({_S.REVIEWED}),
    _S.REVIEWED: frozenset({_S.POSTMORTEM_DRAFT, _S.CLOSED}),
    _S.CLOSED: frozenset(),
    _S.MERGED: frozenset(),
    _S.FALSE_POSITIVE: frozenset({_S.CLOSED}),
}


def may_follow(before: IncidentState, after: IncidentState) -> bool:
    """Whether an incident may go from one state to the other, apart from being opened again.

    >>> may_follow(IncidentState.DETECTED, IncidentState.RESOLVED), may_follow(IncidentState.CLOSED, IncidentState.DETECTED)
    (True, False)
    """
    return after in _NEXT[before]


def next_states(state: IncidentState) -> tuple[IncidentState, ...]:
    """The states that may follow, in the order of an incident's life."""
    return tuple(one for one in IncidentState if one in _NEXT[state])
