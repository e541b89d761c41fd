"""A worker for the crash tests: runs one operation and kills itself at a numbered failpoint."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from uuid import UUID

from engine_kit import Bench, Diary, Scripted, Verified

from dbre.core.clock import SystemClock
from dbre.core.errors import Refused
from dbre.core.operation.context import StepContext
from dbre.core.secrets import Secret
from dbre.core.store import Store, open_store


class Failpoints:
    """Counts the moments before and after each commit, and ends the process, or stops it, at one of them."""

    def __init__(self, number: int, sign: signal.Signals = signal.SIGKILL) -> None:
        self.seen: list[str] = []
        self._number = number
        self._sign = sign

    async def before(self, commit: str) -> None:
        await self._pass(f"before {commit}")

    async def after(self, commit: str) -> None:
        await self._pass(f"after {commit}")

    async def _pass(self, moment: str) -> None:
        self.seen.append(moment)
        if len(self.seen) == self._number:
            os.kill(os.getpid(), self._sign)


async def refuse(context: StepContext) -> None:
    raise Refused("scripted to fail")


def scripted(diary: Diary, *, fails: bool) -> Verified:
    return Verified(diary, before={"once:d": refuse} if fails else None)


async def run_once(store: Store, operation: Scripted, operation_id: UUID, failpoints: Failpoints) -> None:
    bench = Bench(store, operation.diary, lease="2s", renewal="1s")
    await bench.runner(operation, hooks=failpoints).run(operation_id)


def main() -> None:
    """A fork for each line of input: one import of all modules serves every failpoint."""
    url, password = sys.argv[1:3]
    for line in sys.stdin:
        operation_id, number, diary, fails = line.split()
        child = os.fork()
        if child == 0:
            asyncio.run(_run(url, password, UUID(operation_id), int(number), Path(diary), fails == "fails"))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status), flush=True)  # noqa: T201


async def _run(url: str, password: str, operation_id: UUID, number: int, diary: Path, fails: bool) -> None:
    secret = Secret(password) if password != "-" else None
    async with open_store(url, clock=SystemClock(), password=secret) as store:
        await run_once(store, scripted(Diary(diary), fails=fails), operation_id, Failpoints(number))


if __name__ == "__main__":
    main()
