"""A worker that is killed: walks steps of a restore, and says on its output what it does."""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from restoring_scene_kit import ground_of
from restoring_walk_kit import WalkedStep

from dbre.capabilities.backup.operations.restore_backup import RestoreBackup
from dbre.core.clock import SystemClock
from dbre.core.operation.context import FencingToken
from dbre.core.operation.plan import PlannedOperation
from dbre.core.store import open_store


class Telling(WalkedStep):
    """Says what happens, so that the test can choose the moment."""

    async def progress(self, done: float, total: float | None, unit: str) -> None:
        await super().progress(done, total, unit)
        print(f"progress {self.step.name}", flush=True)  # noqa: T201

    async def note(self, text: str) -> None:
        await super().note(text)
        print(f"note {self.step.name}", flush=True)  # noqa: T201


async def main(given: Mapping[str, Any]) -> None:
    planned = PlannedOperation.from_document(given["plan"])
    async with open_store(given["url"], clock=SystemClock()) as store:
        operation = RestoreBackup(ground_of(given["ground"], store))
        (step,) = (one for one in planned.plan.steps if one.name == given["step"])
        context = Telling(plan=planned.plan, step=step, results=given["results"], token=FencingToken(UUID(given["id"]), 1))
        print(f"begun {step.name}", flush=True)  # noqa: T201
        result = await operation.handlers()[step.handler].work(operation, context)
        print("done " + json.dumps(result), flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
