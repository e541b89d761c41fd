"""A worker that is killed while it expires: before a commit of the journal, or after a write to a vault."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from functools import wraps
from typing import Any
from uuid import UUID

from forks_kit import serve
from taking_kit import Settings, settings_of, world_of

from dbre.capabilities.backup.taking.vaults import open_set_vault
from dbre.capabilities.backup.vault.filesystem import FilesystemStorage
from dbre.capabilities.backup.vault.s3 import S3Storage
from dbre.capabilities.backup.vault.vault import Vault

WRITES = ("put", "put_bytes", "delete")


class Moments:
    """Counts moments, and ends the process at one of them. Vaults write in threads."""

    def __init__(self, last: int) -> None:
        self._left = last
        self._lock = threading.Lock()

    async def before(self, _commit: str) -> None:
        self.passed()

    async def after(self, _commit: str) -> None:
        """The moment before the next write is as good."""

    def passed(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, storage: type[Any]) -> None:
        """Count its writes, each when it was made."""
        for name in WRITES:
            setattr(storage, name, self._watched(getattr(storage, name)))

    def _watched(self, write: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(write)
        def watched(*given: Any, **named: Any) -> Any:
            result = write(*given, **named)
            self.passed()
            return result

        return watched


def operation(settings: Settings, operation_id: UUID, moment: int) -> dict[str, Any]:
    """Run an operation, and be killed at a moment."""
    return {"settings": asdict(settings), "moment": moment, "operation": str(operation_id)}


def settling(settings: Settings, sets: list[str], moment: int) -> dict[str, Any]:
    """Delete sets from the vault; no operation knows of it, as if its journal had been lost."""
    return {"settings": asdict(settings), "moment": moment, "sets": sets}


async def settled(vault: Vault, sets: list[str]) -> None:
    """Mark and delete sets, for which each has to be in its grace for a moment."""
    while (await vault.settle(sets, {}, kept_logs={}, reason="old", grace=timedelta(milliseconds=1))).sets_left:  # noqa: ASYNC110
        await asyncio.sleep(0.01)  # the clock of a vault gives no event


async def _run(value: dict[str, Any]) -> None:
    moments = Moments(value["moment"])
    moments.watch(FilesystemStorage)
    moments.watch(S3Storage)
    async with world_of(settings_of(value["settings"]), migrate=False) as world:
        if "operation" in value:
            await world.runner(moments, lease="5s", renewal="1s").run(UUID(value["operation"]))
            return
        async with open_set_vault(world.ground, "near") as vault:
            await settled(vault, value["sets"])


if __name__ == "__main__":
    serve(_run)
