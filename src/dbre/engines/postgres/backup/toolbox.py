"""Which of the installed PostgreSQLs does what: the server's own major version, or a newer client."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dbre.core.programs.account import first_barrier
from dbre.core.programs.errors import BinariesMissing, ProgramFailed
from dbre.core.programs.run import run
from dbre.core.text import one_line
from dbre.engines.postgres.binaries import PostgresBinaries, find_postgres, list_postgres
from dbre.ports.backup.model import Place, Tool

__all__ = ["FIRST_INCREMENTAL", "Client", "Toolbox", "major_version"]

FIRST_INCREMENTAL = 17
"""The first version that copies what changed since another copy."""
_SECONDS = 30.0
_OPTIONAL = ("pg_verifybackup",)
_NO_RESPONSE = 2  # of pg_isready; 3: it made no attempt
_ABSENT_SOCKETS = "/nonexistent"  # pg_isready looks at its options before it looks there


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Programs that talk to a server over the network."""

    binaries: PostgresBinaries
    has_tls: bool


class Toolbox:
    """The PostgreSQL programs of this machine that one account can run."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._found: list[PostgresBinaries] | None = None

    async def same_major(self, major: int) -> PostgresBinaries:
        """The programs of one major version. Raises: BinariesMissing saying what there is."""
        place = self.place
        return await find_postgres(account=place.account, cache=place.cache, version=major, bindir=place.bindir)

    async def same_major_client(self, major: int) -> Client:
        """The programs of one major version, as clients. Raises: BinariesMissing."""
        binaries = await self.same_major(major)
        return Client(binaries=binaries, has_tls=await self._has_tls(binaries))

    async def client(self, major: int, *, wants_tls: bool, at_least: int = 0) -> Client:
        """Clients for a server of that major version: never older ones; with TLS where it is wanted and there is a choice.

        Raises: BinariesMissing.
        """
        least = max(major, at_least)
        found = [one for one in await self.installed() if one.version >= least]
        if not found:
            there = ", ".join(f"{one.version} ({one.directory})" for one in await self.installed()) or "none"
            raise BinariesMissing(
                f"copies of PostgreSQL {major} need clients of version {least} or newer; found: {there}",
                hint="install postgresql-client of that version, or pip install 'dbre[lab]', which has 16 and 18",
                context={"version": major, "least": least},
            )
        candidates = [await self.same_major(version) for version in sorted({one.version for one in found})]
        clients = [Client(binaries=one, has_tls=await self._has_tls(one)) for one in candidates]
        return next((one for one in clients if one.has_tls), clients[0]) if wants_tls else clients[0]

    async def tools(self, version: str | None) -> Sequence[Tool]:
        """Each program that backups of that version need, as it answers when asked for its version."""
        major = await self._major(version)
        others = ["pg_waldump", "postgres", "pg_controldata", *(["pg_combinebackup"] if major >= FIRST_INCREMENTAL else [])]
        return await self.tools_named(version, clients=("pg_basebackup", "pg_receivewal"), others=(*others, *_OPTIONAL))

    async def tools_named(self, version: str | None, *, clients: Sequence[str], others: Sequence[str]) -> Sequence[Tool]:
        """Likewise, of these programs; ``clients`` may be newer than the server."""
        major = await self._major(version)
        exact: PostgresBinaries | None = None
        why: str | None = None
        try:
            exact = await self.same_major(major)
        except BinariesMissing as error:
            why = error.message
        found = []
        for name in (*clients, *others):
            binaries, problem = exact, why
            if exact is None and name in clients:
                try:
                    binaries, problem = (await self.client(major, wants_tls=False)).binaries, None
                except BinariesMissing as error:
                    problem = error.message
            found.append(await self._tool(name, binaries, problem))
        return tuple(found)

    async def _major(self, version: str | None) -> int:
        return major_version(version) if version else max((one.version for one in await self.installed()), default=0)

    async def installed(self) -> list[PostgresBinaries]:
        """All that are complete and run; looked for once."""
        if self._found is None:
            self._found = await asyncio.to_thread(list_postgres, bindir=self.place.bindir)
        return self._found

    async def _has_tls(self, binaries: PostgresBinaries) -> bool:
        """A client without OpenSSL refuses the word ``require``, and so does not even try to connect."""
        conninfo = f"host={_ABSENT_SOCKETS} sslmode=require"
        try:
            await run([binaries.program("pg_isready"), f"--dbname={conninfo}"], account=self.place.account,
                      directory=Path("/"), timeout_seconds=_SECONDS)  # fmt: skip
        except ProgramFailed as error:
            return error.context.get("exit_status") == _NO_RESPONSE
        return True

    async def _tool(self, name: str, binaries: PostgresBinaries | None, problem: str | None) -> Tool:
        if binaries is None:
            return Tool(name=name, version=None, path=None, problem=problem)
        path = binaries.program(name)
        optional = "; not needed: dbre verifies by itself" if name in _OPTIONAL else ""
        barrier = first_barrier(path.parent, self.place.account)
        if barrier is not None:
            return Tool(name=name, version=None, path=str(path), problem=f"the account may not enter {barrier}{optional}")
        try:
            done = await run([path, "--version"], account=self.place.account, directory=Path("/"), timeout_seconds=_SECONDS)
        except ProgramFailed as error:
            return Tool(name=name, version=None, path=str(path), problem=one_line(error.message) + optional)
        match = re.search(r"\(PostgreSQL\) (\S+)", done.stdout)
        return Tool(
            name=name, version=match[1] if match else None, path=str(path), problem=None if match else "no version told"
        )


def major_version(text: str) -> int:
    """The major version of a version's text. Raises: BinariesMissing where it has none."""
    match = re.match(r"\s*(\d+)", text)
    if match is None:
        raise BinariesMissing(f"{one_line(text)!r} is no version of PostgreSQL")
    return int(match[1])
