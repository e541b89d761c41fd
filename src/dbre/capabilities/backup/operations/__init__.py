"""The durable operations of backups."""

from typing import Any

from dbre.capabilities.backup.ground import BackupGround
from dbre.core.operation.definition import Operation

__all__ = ["operations"]


def operations(ground: BackupGround) -> tuple[Operation[Any], ...]:  # noqa: ARG001 -- each operation takes it
    """What the composition root registers."""
    return ()
