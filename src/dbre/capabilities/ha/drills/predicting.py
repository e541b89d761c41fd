"""What the settings of a cluster promise for a kind of drill."""

from dbre.capabilities.ha.drills.document import Changer, DrillKind
from dbre.capabilities.ha.patroni.prediction import ClientTimes, Predicted, predictions
from dbre.ports.lease_settings import LeaseSettings

__all__ = ["predicted"]

_CUTS = (DrillKind.BLACK_HOLE, DrillKind.PARTITION)  # of a machine, with what else runs there
_FAULTS = {
    DrillKind.LEADER_CRASH: "crash of the database",
    DrillKind.NODE_LOSS: "node loss, connections reset",
    DrillKind.FREEZE: "node loss, black hole",
    DrillKind.BLACK_HOLE: "node loss, black hole",
    DrillKind.PARTITION: "partition of the primary",
    DrillKind.PATRONI_FREEZE: "Patroni frozen, database alive",
}


def predicted(
    kind: DrillKind,
    by: Changer,
    settings: LeaseSettings | None,
    *,
    deadline_seconds: float,
    connect_seconds: float,
    has_store_leader_beside: bool = False,
) -> Predicted | None:
    """For clients that give an answer so long; None where the settings promise nothing: only leases have a known end."""
    if settings is None or by is not Changer.PATRONI or kind not in _FAULTS:
        return None
    clients = ClientTimes(tcp_user_timeout_seconds=deadline_seconds, connect_timeout_seconds=connect_seconds)
    loses = has_store_leader_beside and kind in _CUTS
    return next(one for one in predictions(settings, clients, loses_store_leader=loses) if one.fault == _FAULTS[kind])
