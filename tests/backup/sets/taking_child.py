"""A worker for the crash tests: runs one operation and kills itself at a numbered failpoint, or while it copies."""

import asyncio
import os
import signal
from dataclasses import asdict
from typing import Any
from uuid import UUID

from forks_kit import serve
from taking_kit import Settings, settings_of, world_of

DURING_COPY = "during copy"


class Failpoints:
    """Counts the moments before and after each commit, and ends the process at one of them."""

    def __init__(self, moment: str | None) -> None:
        self.seen: list[str] = []
        self._moment = moment

    async def before(self, commit: str) -> None:
        await self._pass(f"before {commit}")

    async def after(self, commit: str) -> None:
        await self._pass(f"after {commit}")

    async def _pass(self, moment: str) -> None:
        self.seen.append(moment)
        if moment == self._moment:
            os.kill(os.getpid(), signal.SIGKILL)


def order(settings: Settings, operation_id: UUID, moment: str) -> dict[str, Any]:
    """What the child is told."""
    return {"settings": asdict(settings), "operation": str(operation_id), "moment": moment}


async def _kill_while_copying(settings: Settings, operation_id: UUID) -> None:
    """Once the program that copies has written something."""
    root = settings.directory / "backup" / "sets" / str(operation_id)
    while not any(root.glob("copy-*/base")):  # noqa: ASYNC110 -- what is waited for is a file
        await asyncio.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL)


async def _run(value: dict[str, Any]) -> None:
    settings, operation_id, moment = settings_of(value["settings"]), UUID(value["operation"]), value["moment"]
    async with world_of(settings, migrate=False) as world:
        killing = asyncio.create_task(_kill_while_copying(settings, operation_id)) if moment == DURING_COPY else None
        await world.runner(Failpoints(moment), lease="5s", renewal="1s").run(operation_id)
        if killing is not None:
            killing.cancel()


if __name__ == "__main__":
    import dbre.capabilities.backup.vault.opening
    import dbre.engines.postgres.engine  # noqa: F401

    serve(_run)
