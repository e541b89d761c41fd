"""A ground for a vault of which only the place is known: no configuration is read."""

import os
from pathlib import Path

from dbre.capabilities.backup.documents import BackupDocument
from dbre.capabilities.backup.ground import BackupGround
from dbre.core.audit.signed_note import SigningKey
from dbre.core.clock import Clock
from dbre.core.fleet import Fleet
from dbre.core.programs.account import choose_account
from dbre.core.programs.cache import cache_directory
from dbre.ports.backup.model import Place
from dbre.ports.engine import EngineRegistry

__all__ = ["ground_alone"]


def ground_alone(engines: EngineRegistry, clock: Clock, directory: Path) -> BackupGround:
    """No cluster, no store, no key: enough to read."""

    def find_place() -> Place:
        account = choose_account(os.environ)
        return Place(account=account, cache=cache_directory(account, os.environ))

    async def no_key() -> SigningKey | None:
        return None

    return BackupGround(
        fleet=Fleet(clusters=()),
        engines=engines,
        clock=clock,
        store=None,
        settings=BackupDocument(),
        vaults=(),
        directory=directory,
        find_place=find_place,
        find_signing_key=no_key,
    )
