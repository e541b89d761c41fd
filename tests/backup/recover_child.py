"""Recovers a directory and waits to be killed: python recover_child.py ENGINE DIRECTORY CACHE"""

import asyncio
import sys
from pathlib import Path

from dbre.app import Engines
from dbre.core.programs.account import choose_account
from dbre.ports.backup.engine import RecoverOrder
from dbre.ports.backup.model import Place, RecoveryTarget, TargetKind


async def main(engine: str, directory: str, cache: str) -> None:
    port = Engines().get(engine).backups(Place(account=choose_account({}), cache=Path(cache)))
    target = RecoveryTarget(kind=TargetKind.IMMEDIATE)
    order = RecoverOrder(directory=Path(directory), target=target, log=None, is_faithful=False, timeout_seconds=300.0)
    async with port.recover(order):
        sys.stdout.write("up\n")
        sys.stdout.flush()
        await asyncio.sleep(600)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
