"""The durable operations of backups."""

from typing import Any

from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.operations.restore_backup import RestoreBackup
from dbre.core.operation.definition import Operation

__all__ = ["operations"]


def operations(ground: BackupGround) -> tuple[Operation[Any], ...]:
    """What the composition root registers."""
    return (RestoreBackup(ground),)
