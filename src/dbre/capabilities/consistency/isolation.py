"""Which anomalies which isolation level forbids, and which levels follow from which.

Sources: Adya, "Weak Consistency" (1999); Crooks et al. (PODC 2017); Cerone and Gotsman, "Analysing Snapshot Isolation" (2018);
Kingsbury and Alvaro, "Elle" (VLDB 2020). Histories hold no predicates: repeatable read forbids here what serializable forbids.
"""

from enum import StrEnum

from dbre.core.errors import UsageError
from dbre.core.text import closest, quoted

__all__ = ["IsolationModel", "forbidden_by", "isolation_model", "weakest_excluded"]


class IsolationModel(StrEnum):
    """What a database promises about concurrent transactions."""

    READ_UNCOMMITTED = "read-uncommitted"
    READ_COMMITTED = "read-committed"
    CONSISTENT_VIEW = "consistent-view"  # PL-2+; parallel snapshot isolation forbids the same here
    PARALLEL_SNAPSHOT_ISOLATION = "parallel-snapshot-isolation"
    SNAPSHOT_ISOLATION = "snapshot-isolation"
    REPEATABLE_READ = "repeatable-read"
    SERIALIZABLE = "serializable"
    STRONG_SESSION_READ_COMMITTED = "strong-session-read-committed"
    STRONG_SESSION_SNAPSHOT_ISOLATION = "strong-session-snapshot-isolation"
    STRONG_SESSION_SERIALIZABLE = "strong-session-serializable"
    STRONG_READ_COMMITTED = "strong-read-committed"
    STRONG_SNAPSHOT_ISOLATION = "strong-snapshot-isolation"
    STRICT_SERIALIZABLE = "strict-serializable"


_M = IsolationModel
_NEXT_WEAKER = {
    _M.READ_UNCOMMITTED: (),
    _M.READ_COMMITTED: (_M.READ_UNCOMMITTED,),
    _M.CONSISTENT_VIEW: (_M.READ_COMMITTED,),
    _M.PARALLEL_SNAPSHOT_ISOLATION: (_M.CONSISTENT_VIEW,),
    _M.SNAPSHOT_ISOLATION: (_M.PARALLEL_SNAPSHOT_ISOLATION,),
    _M.REPEATABLE_READ: (_M.CONSISTENT_VIEW,),
    _M.SERIALIZABLE: (_M.SNAPSHOT_ISOLATION, _M.REPEATABLE_READ),
    _M.STRONG_SESSION_READ_COMMITTED: (_M.READ_COMMITTED,),
    _M.STRONG_SESSION_SNAPSHOT_ISOLATION: (_M.SNAPSHOT_ISOLATION, _M.STRONG_SESSION_READ_COMMITTED),
    _M.STRONG_SESSION_SERIALIZABLE: (_M.SERIALIZABLE, _M.STRONG_SESSION_SNAPSHOT_ISOLATION),
    _M.STRONG_READ_COMMITTED: (_M.STRONG_SESSION_READ_COMMITTED,),
    _M.STRONG_SNAPSHOT_ISOLATION: (_M.STRONG_SESSION_SNAPSHOT_ISOLATION, _M.STRONG_READ_COMMITTED),
    _M.STRICT_SERIALIZABLE: (_M.STRONG_SESSION_SERIALIZABLE, _M.STRONG_SNAPSHOT_ISOLATION),
}
_ALL = _M.READ_UNCOMMITTED
_EXCLUDES = {
    "garbage-read": (_ALL,),
    "duplicate-elements": (_ALL,),
    "future-read": (_ALL,),
    "internal": (_ALL,),
    "G0": (_ALL,),
    "cyclic-versions": (_M.READ_COMMITTED,),
    "incompatible-order": (_M.READ_COMMITTED,),
    "dirty-update": (_M.READ_COMMITTED,),
    "G1a": (_M.READ_COMMITTED,),
    "G1b": (_M.READ_COMMITTED,),
    "G1c": (_M.READ_COMMITTED,),
    "unrepeatable-read": (_M.CONSISTENT_VIEW,),
    "lost-update": (_M.CONSISTENT_VIEW,),
    "G-single": (_M.CONSISTENT_VIEW,),
    "G-nonadjacent": (_M.SNAPSHOT_ISOLATION, _M.REPEATABLE_READ),
    "G2-item": (_M.REPEATABLE_READ,),
    "G0-process": (_M.STRONG_SESSION_READ_COMMITTED,),
    "G1c-process": (_M.STRONG_SESSION_READ_COMMITTED,),
    "G-single-process": (_M.STRONG_SESSION_SNAPSHOT_ISOLATION,),
    "G-nonadjacent-process": (_M.STRONG_SESSION_SNAPSHOT_ISOLATION,),
    "G2-item-process": (_M.STRONG_SESSION_SERIALIZABLE,),
    "G0-realtime": (_M.STRONG_READ_COMMITTED,),
    "G1c-realtime": (_M.STRONG_READ_COMMITTED,),
    "G-single-realtime": (_M.STRONG_SNAPSHOT_ISOLATION,),
    "G-nonadjacent-realtime": (_M.STRONG_SNAPSHOT_ISOLATION,),
    "G2-item-realtime": (_M.STRICT_SERIALIZABLE,),
}


def isolation_model(name: str) -> IsolationModel:
    """The level of that name. Raises: UsageError with the names that there are."""
    try:
        return IsolationModel(name)
    except ValueError:
        near = closest(name, list(IsolationModel))
        known = ", ".join(IsolationModel)
        raise UsageError(
            f"{quoted(name, limit=60)} is no isolation level", hint=f"did you mean {near}?" if near else f"known: {known}"
        ) from None


def forbidden_by(model: IsolationModel, anomaly: str) -> bool:
    """Whether a level promises that an anomaly does not happen.

    >>> forbidden_by(IsolationModel.SNAPSHOT_ISOLATION, "G2-item"), forbidden_by(IsolationModel.SERIALIZABLE, "G2-item")
    (False, True)
    """
    return not _implied(model).isdisjoint(_EXCLUDES[anomaly])


def weakest_excluded(anomalies: set[str]) -> list[IsolationModel]:
    """The levels that a history with these anomalies does not keep, less those that follow from weaker ones.

    >>> weakest_excluded({"G-single", "G2-item", "G1c-realtime"})
    [<IsolationModel.CONSISTENT_VIEW: 'consistent-view'>, <IsolationModel.STRONG_READ_COMMITTED: 'strong-read-committed'>]
    """
    found = {model for one in anomalies for model in _EXCLUDES[one]}
    return [one for one in IsolationModel if one in found and not (_implied(one) - {one}) & found]


def _implied(model: IsolationModel) -> set[IsolationModel]:
    found, pending = {model}, [model]
    while pending:
        for weaker in _NEXT_WEAKER[pending.pop()]:
            if weaker not in found:
                found.add(weaker)
                pending.append(weaker)
    return found
