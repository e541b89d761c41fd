"""PgBouncer as a route: clients wait in it while the primary changes, and then go on without an error."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from dbre.core.errors import DbreError, Unreachable, UsageError
from dbre.core.fleet import Address
from dbre.core.network import resolve
from dbre.core.text import printable
from dbre.core.units import format_duration
from dbre.ports.route import RouteChanged, RouteCheck, RoutePauseTimeout, RouteState
from dbre.tools.pgbouncer import databases_file
from dbre.tools.pgbouncer.checks import settings_checks
from dbre.tools.pgbouncer.console import Console, ConsoleAccess, ConsoleRefused, console

__all__ = ["PgBouncerRoute"]

_RELOAD_SECONDS = 5.0
_LOOK_SECONDS = 0.02
_LOOK_UP_SECONDS = 5.0


class PgBouncerRoute:
    """Some databases of one PgBouncer.

    With ``file``, the file of databases that its ``pgbouncer.ini`` includes, they are led elsewhere by changing it and
    ``RELOAD``. Without, they lead to a name or a proxy that another route turns: this one then pauses, and reconnects.
    """

    kind = "pgbouncer"
    can_pause = True

    def __init__(self, name: str, access: ConsoleAccess, databases: Sequence[str], *, file: Path | None = None) -> None:
        self.name = name
        self._access = access
        self._databases = tuple(databases)
        self._file = file

    async def current(self) -> RouteState:
        """What ``SHOW DATABASES`` says of them."""
        async with console(self._access) as open_console:
            return _state(await self._rows(open_console))

    async def check(self, address: Address) -> Sequence[RouteCheck]:
        """The console, the settings that matter while clients wait, and the file."""
        async with console(self._access) as open_console:
            rows = await self._rows(open_console)
            config = {str(row["key"]): str(row["value"]) for row in await open_console.show("CONFIG")}
        found = [
            RouteCheck(name="admin_console", is_ok=True, seen=_state(rows).value, wanted="an answer"),
            *settings_checks(rows, config),
        ]
        if self._file is not None:
            found.append(await asyncio.to_thread(self._check_file, self._file, _served(rows), address))
        return found

    async def pause(self, *, limit_seconds: float) -> None:
        """``PAUSE`` each database; what runs may end within the limit."""
        deadline = time.monotonic() + limit_seconds
        try:
            async with console(self._access) as open_console:
                await self._rows(open_console)
                for database in self._databases:
                    await open_console.tell("PAUSE", database, limit_seconds=max(0.0, deadline - time.monotonic()))
        except TimeoutError as error:
            held = await self._resume_and_count()
            raise RoutePauseTimeout(
                f"PgBouncer at {self._access.address}: {held} server connections were still in use after "
                f"{format_duration(limit_seconds)}, so its clients go on as before",
                hint="see who holds them: SHOW SERVERS; or allow more time",
                context={"route": self.name, "limit_seconds": limit_seconds, "in_use": held},
            ) from error
        except BaseException:
            with suppress(DbreError):  # the first reason is the one to tell
                await self.resume()
            raise

    async def resume(self) -> None:
        """``RESUME`` each that is paused."""
        async with console(self._access) as open_console:
            for row in await self._rows(open_console):
                try:
                    await open_console.tell("RESUME", str(row["name"]))
                except ConsoleRefused as error:
                    if "not paused" not in error.message:  # a PAUSE that waits does not show as paused: so all are told
                        raise

    async def point_to(self, address: Address, *, before: RouteState) -> None:
        """Change the file, let PgBouncer read it, and see that it did."""
        if self._file is None:
            await self._reconnect()
            return
        old = _parsed(before.value)
        await self._turn(dict.fromkeys(self._databases, address), expected=old)

    async def cut(self, address: Address) -> int:
        """``KILL`` the databases that still have connections to elsewhere, and let their clients come back."""
        if self._file is None:  # it leads to a name or a proxy: where connections end is not to be seen here
            return 0
        right = await _numeric(address)
        async with console(self._access) as open_console:
            rows = [row for row in await open_console.show("SERVERS") if row["database"] in self._databases]
            elsewhere = [row for row in rows if Address(str(row["addr"]), int(row["port"])) not in right]
            for database in sorted({str(row["database"]) for row in elsewhere}):
                await open_console.tell("KILL", database)
                await open_console.tell("RESUME", database)
        return len(elsewhere)

    async def verify(self, address: Address) -> Sequence[RouteCheck]:
        """Whether it leads there, lets clients through, and has no connection to elsewhere left."""
        async with console(self._access) as open_console:
            state = _state(await self._rows(open_console))
            servers = [row for row in await open_console.show("SERVERS") if row["database"] in self._databases]
        found = [
            RouteCheck(
                name="resumed", is_ok=not state.is_paused, seen="paused" if state.is_paused else "open", wanted="open",
                remedy="RESUME on its admin console",
            )
        ]  # fmt: skip
        if self._file is not None:
            found.append(
                RouteCheck(name="databases", is_ok=set(state.addresses) == {address}, seen=state.value, wanted=str(address))
            )
            seen = {Address(str(row["addr"]), int(row["port"])) for row in servers}
            others = sorted(map(str, seen - await _numeric(address)))
            found.append(
                RouteCheck(
                    name="servers",
                    is_ok=not others,
                    seen=", ".join(others) or "no other",
                    wanted="no connection to elsewhere",
                    is_advice=True,
                )
            )
        return found

    async def undo(self, address: Address, *, before: RouteState) -> None:
        """Write back what the file said, if it still says ``address``."""
        if self._file is None:
            await self._reconnect()
            return
        await self._turn(_parsed(before.value), expected=dict.fromkeys(self._databases, address))

    async def _turn(self, wanted: Mapping[str, Address], *, expected: Mapping[str, Address]) -> None:
        assert self._file is not None  # noqa: S101 -- both callers see to it
        text = await asyncio.to_thread(databases_file.read, self._file)
        now = databases_file.targets(text)
        for database, address in wanted.items():
            if now.get(database) not in (address, expected.get(database)):
                raise RouteChanged(
                    f"{self._file}: {printable(database)} leads to {now.get(database)}, and not to {expected.get(database)} "
                    "as it did before",
                    hint="somebody else changed it; look, and plan again",
                    context={"route": self.name, "database": database},
                )
            text = databases_file.pointed(text, [database], address)
        if any(now.get(database) != address for database, address in wanted.items()):
            await asyncio.to_thread(databases_file.write, self._file, text)
        await self._reload(wanted)

    async def _reload(self, wanted: Mapping[str, Address]) -> None:
        async with console(self._access) as open_console:
            served = _served(await self._rows(open_console))
            deadline = time.monotonic() + _RELOAD_SECONDS
            await open_console.tell("RELOAD")
            while served != wanted:
                if time.monotonic() > deadline:
                    raise Unreachable(
                        f"PgBouncer at {self._access.address} was told to read {self._file} and still leads to "
                        + _words(served),
                        hint=f"let its pgbouncer.ini hold: %include {self._file}",
                        context={"route": self.name},
                    )
                await asyncio.sleep(_LOOK_SECONDS)
                served = _served(await self._rows(open_console))

    async def _reconnect(self) -> None:
        async with console(self._access) as open_console:
            for row in await self._rows(open_console):
                await open_console.tell("RECONNECT", str(row["name"]))

    async def _rows(self, open_console: Console) -> list[Mapping[str, Any]]:
        rows = {str(row["name"]): row for row in await open_console.show("DATABASES")}
        missing = [name for name in self._databases if name not in rows]
        if missing:
            raise UsageError(
                f"PgBouncer at {self._access.address} has no database {printable(', '.join(missing))}",
                hint="it has " + printable(", ".join(name for name in rows if name != "pgbouncer"), limit=300),
            )
        return [rows[name] for name in self._databases]

    async def _resume_and_count(self) -> int:
        async with console(self._access) as open_console:
            servers = await open_console.show("SERVERS")
        await self.resume()
        return sum(row["database"] in self._databases and row["state"] == "active" for row in servers)

    def _check_file(self, file: Path, served: Mapping[str, Address | None], address: Address) -> RouteCheck:
        remedy = "let the file hold what PgBouncer serves, and be writable with its directory by the user who runs dbre"
        try:
            text = databases_file.read(file)
            databases_file.pointed(text, self._databases, address)
            written = {name: databases_file.targets(text).get(name) for name in self._databases}
        except DbreError as error:
            return RouteCheck(name="databases_file", is_ok=False, seen=error.message, wanted="readable", remedy=error.hint)
        if written != dict(served):
            return RouteCheck(name="databases_file", is_ok=False, seen=_words(written), wanted=_words(served), remedy=remedy)
        is_writable = databases_file.is_replaceable(file)
        seen = str(file) if is_writable else f"{file} may not be replaced by us"
        return RouteCheck(name="databases_file", is_ok=is_writable, seen=seen, wanted="may be replaced", remedy=remedy)


def _served(rows: Sequence[Mapping[str, Any]]) -> dict[str, Address | None]:
    return {str(row["name"]): Address(str(row["host"]), int(row["port"])) if row["host"] else None for row in rows}


def _state(rows: Sequence[Mapping[str, Any]]) -> RouteState:
    served = _served(rows)
    addresses = tuple(dict.fromkeys(one for one in served.values() if one is not None))
    return RouteState(addresses=addresses, value=_words(served), is_paused=all(int(row["paused"]) for row in rows))


def _words(served: Mapping[str, Address | None]) -> str:
    return ", ".join(f"{name}={address or 'local'}" for name, address in served.items())


def _parsed(value: str) -> dict[str, Address]:
    """The opposite of ``_words``."""
    pairs = (one.rpartition("=") for one in value.split(", "))
    return {name: Address.parse(address, default_port=5432) for name, _, address in pairs if address != "local"}


async def _numeric(address: Address) -> set[Address]:
    """What ``SHOW SERVERS`` may call it. Raises: Unreachable where the name is not known."""
    try:
        async with asyncio.timeout(_LOOK_UP_SECONDS):
            return {Address(one.host, one.port) for one in await resolve(address)}
    except (OSError, TimeoutError) as error:
        raise Unreachable(
            f"the name {address.host} cannot be looked up: {error}", hint="see that this machine resolves it"
        ) from error
