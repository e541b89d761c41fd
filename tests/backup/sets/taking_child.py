"""A worker for the crash tests: runs one operation and kills itself at a numbered failpoint, or while it copies."""

import asyncio
import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from uuid import UUID

from taking_kit import Settings, Where, world_of

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


def as_line(settings: Settings, operation_id: UUID, moment: str) -> str:
    """One line for the child."""
    return json.dumps({"settings": asdict(settings), "operation": str(operation_id), "moment": moment}, default=str) + "\n"


def _settings_of(value: dict) -> Settings:
    paths = {name: Path(value[name]) for name in ("directory", "cache")}
    return Settings(**(value | paths | {"source": Where(**value["source"])}))


async def _kill_while_copying(settings: Settings, operation_id: UUID) -> None:
    """Once the program that copies has written something."""
    root = settings.directory / "backup" / "sets" / str(operation_id)
    while not any(root.glob("copy-*/base")):  # noqa: ASYNC110 -- what is waited for is a file
        await asyncio.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL)


async def _run(settings: Settings, operation_id: UUID, moment: str) -> None:
    async with world_of(settings, migrate=False) as world:
        killing = asyncio.create_task(_kill_while_copying(settings, operation_id)) if moment == DURING_COPY else None
        await world.runner(Failpoints(moment), lease="5s", renewal="1s").run(operation_id)
        if killing is not None:
            killing.cancel()


def main() -> None:
    """A fork for each line of input: one import of all modules serves every failpoint."""
    import dbre.capabilities.backup.vault.opening
    import dbre.engines.postgres.engine  # noqa: F401

    for line in sys.stdin:
        value = json.loads(line)
        child = os.fork()
        if child == 0:
            asyncio.run(_run(_settings_of(value["settings"]), UUID(value["operation"]), value["moment"]))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
