"""PostgreSQL's own programs that bring a data directory to the history of the primary. Their login is in no argument."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from dbre.core.programs.run import run
from dbre.core.programs.scratch import scratch_directory
from dbre.engines.postgres.backup.client_session import ClientSession, client_session
from dbre.engines.postgres.backup.toolbox import Client
from dbre.ports.backup.model import Place
from dbre.ports.engine import Access
from dbre.ports.rejoin import NotAligned

__all__ = ["Copying"]

_NOTHING_DONE = "no rewind required"
_LONGEST_SECONDS = 7 * 86_400.0


class Copying:
    """Towards one data directory, from one primary."""

    def __init__(self, source: Access, client: Client, place: Place) -> None:
        self._source = source
        self._client = client
        self._place = place

    def program(self, name: str) -> Path:
        """Of the major version of both."""
        return self._client.binaries.program(name)

    async def recover(self, data: Path, options: list[str]) -> None:
        """What a server that was killed would do at its next start, by a single process that takes no connections."""
        argv: list[str | Path] = [self.program("postgres"), "--single", "-F", "-D", data, *options, "template1"]
        await self._run(argv, data)

    async def rewind(self, data: Path, options: list[str], *, restores: bool) -> None:
        """Bring back the state at the fork, and copy what the primary changed since."""
        async with self._session("rejoin") as session:
            argv: list[str | Path] = [
                self.program("pg_rewind"),
                f"--target-pgdata={data}",
                f"--source-server={session.conninfo}",
                "--no-ensure-shutdown",
                *(["--restore-target-wal"] if restores else []),
                *(f"--config-file={one.partition('=')[2]}" for one in options if one.startswith("config_file=")),
            ]
            said = await self._run(argv, data, session)
        if _NOTHING_DONE in said:  # so it says, too, where the source has no checkpoint on its own timeline yet
            raise NotAligned(f"pg_rewind found nothing to do in {data}, whose history is another one")

    async def copy(self, target: Path, slot: str | None) -> None:
        """A new copy of all of it. What an earlier attempt left there goes first."""
        await asyncio.to_thread(_clear, target)
        async with self._session("rejoin") as session:
            argv: list[str | Path] = [
                self.program("pg_basebackup"),
                f"--dbname={session.conninfo}",
                f"--pgdata={target}",
                "--wal-method=stream",
                "--checkpoint=fast",
                "--no-password",
                *([f"--slot={slot}"] if slot is not None else []),
            ]
            await self._run(argv, target.parent, session)

    async def _run(self, argv: list[str | Path], directory: Path, session: ClientSession | None = None) -> str:
        done = await run(
            argv,
            account=self._place.account,
            directory=directory,
            timeout_seconds=_LONGEST_SECONDS,
            environment=session.environment if session is not None else None,
        )
        return done.stdout + done.stderr

    @asynccontextmanager
    async def _session(self, name: str) -> AsyncIterator[ClientSession]:
        with scratch_directory(self._place.account) as scratch:
            async with client_session(self._source, self._client, self._place, scratch=scratch, name=f"dbre:{name}") as session:
                yield session


def _clear(directory: Path) -> None:
    if directory.exists():
        shutil.rmtree(directory)
