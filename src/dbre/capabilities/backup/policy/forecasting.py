"""How long a restore of a cluster would take now, where anybody can tell."""

from dbre.capabilities.backup.ground import BackupGround
from dbre.core.clock import Clock
from dbre.core.errors import DbreError
from dbre.ports.backup.model import RecoveryTarget, TargetKind

__all__ = ["restore_seconds"]


async def restore_seconds(ground: BackupGround, cluster: str, clock: Clock) -> float | None:
    """What the known phases of a restore of everything take, with margin; None where nobody can tell.

    The whole takes at least that: a phase that was never measured counts nothing.
    """
    from dbre.capabilities.backup.restoring.request import Asked, forecast_of, plan_asked

    asked = Asked(cluster=cluster, target=RecoveryTarget(kind=TargetKind.LATEST), accept_loss=True)
    try:
        found = await forecast_of(ground, await plan_asked(ground, asked, clock))
    except DbreError:  # nothing that could be restored: another rule tells of it
        return None
    return found.known_seconds or None
