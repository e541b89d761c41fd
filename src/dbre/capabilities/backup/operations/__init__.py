"""The durable operations of backups."""

from typing import Any

from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.operations.drill_backup import DrillBackup
from dbre.capabilities.backup.operations.expire_backups import ExpireBackups
from dbre.capabilities.backup.operations.hold_set import HoldSet, ReleaseSet
from dbre.capabilities.backup.operations.release_log import ReleaseLog
from dbre.capabilities.backup.operations.restore_backup import RestoreBackup
from dbre.capabilities.backup.operations.restore_table import RestoreTable
from dbre.capabilities.backup.operations.take_backup import TakeBackup
from dbre.core.operation.definition import Operation

__all__ = ["operations"]


def operations(ground: BackupGround) -> tuple[Operation[Any], ...]:
    """What the composition root registers."""
    return (
        TakeBackup(ground),
        ExpireBackups(ground),
        HoldSet(ground),
        ReleaseSet(ground),
        ReleaseLog(ground),
        RestoreBackup(ground),
        RestoreTable(ground),
        DrillBackup(ground),
    )
