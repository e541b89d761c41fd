"""The runtime API of an HAProxy: one command a connection, over its stats socket."""

import asyncio
import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dbre.core.errors import DbreError, Denied, Unreachable, UsageError
from dbre.core.fleet import Address
from dbre.core.text import one_line, printable
from dbre.core.units import format_duration

__all__ = ["BackendServer", "HaproxyRefused", "RuntimeApi"]

ANSWER_SECONDS = 5.0
_LARGEST = 8 << 20
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
_SERVERS_FORMAT = "1"  # of "show servers state"
_FORCED_MAINTENANCE = 0x01 | 0x02 | 0x20  # by command, by another server, by a name without address; 0x04 only remembers
_FORCED_DRAIN = 0x08 | 0x10
_RUNNING = 2


class HaproxyRefused(DbreError):
    """HAProxy does not do what it was told to; its words are in the message."""

    code = "haproxy.refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendServer:
    """One server of a backend."""

    name: str
    address: Address
    state: str  # ready, drain, maint: what somebody decided
    is_up: bool  # what its health check says; without one, that it is ready
    sessions: int


class RuntimeApi:
    """Commands for one HAProxy. Raises: Unreachable, Denied, HaproxyRefused."""

    def __init__(self, place: Path | Address) -> None:
        self._place = place

    @property
    def where(self) -> str:
        """For people."""
        return f"HAProxy at {self._place}"

    async def servers(self, backend: str) -> tuple[BackendServer, ...]:
        """The servers of a backend in their order. Raises: UsageError where there is no such backend."""
        lines = (await self._ask(f"show servers state {_named(backend)}")).splitlines()
        if not lines or lines[0].strip() != _SERVERS_FORMAT:
            said = one_line(" ".join(lines)) or "nothing"
            if "find backend" in said:
                raise UsageError(
                    f"{self.where} has no backend {printable(backend)}", hint="see its configuration: backend NAME"
                )
            raise HaproxyRefused(f"{self.where} answered show servers state with: {said}")
        names = lines[1].removeprefix("# ").split()
        sessions = await self._sessions(backend)
        rows = [dict(zip(names, line.split(), strict=False)) for line in lines[2:] if line.strip()]
        return tuple(_server(row, sessions) for row in rows)

    async def may_change(self) -> bool:
        """Whether the socket lets us change anything: asked about a server that cannot be."""
        try:
            await self._ask("set server dbre-nobody/dbre-nobody state ready")
        except Denied:
            return False
        return True

    async def set_state(self, backend: str, server: str, state: str) -> None:
        """``ready``, ``drain`` or ``maint``."""
        await self._tell(f"set server {_named(backend)}/{_named(server)} state {_named(state)}")

    async def set_address(self, backend: str, server: str, address: Address) -> None:
        """Lead a server elsewhere; HAProxy takes a numeric address."""
        said = await self._ask(f"set server {_named(backend)}/{_named(server)} addr {_named(address.host)} port {address.port}")
        if said.strip() and not re.search(r"changed from|no need to change", said):
            raise HaproxyRefused(f"{self.where} does not lead {server} to {address}: {one_line(said)}")

    async def end_sessions(self, backend: str, server: str) -> None:
        """Close every connection to a server."""
        await self._tell(f"shutdown sessions server {_named(backend)}/{_named(server)}")

    async def _sessions(self, backend: str) -> Mapping[str, int]:
        text = (await self._ask(f"show stat {_named(backend)} 4 -1")).removeprefix("# ")
        return {row["svname"]: int(row["scur"] or 0) for row in csv.DictReader(io.StringIO(text)) if row.get("svname")}

    async def _tell(self, command: str) -> None:
        said = (await self._ask(command)).strip()
        if said:
            raise HaproxyRefused(f"{self.where} refuses {command}: {one_line(said)}")

    async def _ask(self, command: str) -> str:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await self._exchange(command)
        except TimeoutError as error:
            raise Unreachable(f"{self.where} did not answer {command} within {format_duration(ANSWER_SECONDS)}") from error
        except PermissionError as error:
            raise Denied(
                f"{self.where}: the socket may not be opened by us", hint="let it belong to a group of the user who runs dbre"
            ) from error
        except OSError as error:
            raise Unreachable(
                f"{self.where} cannot be reached: {error.strerror or one_line(str(error))}",
                hint="see that it runs, and that its configuration holds: stats socket ... level admin",
            ) from error
        if answer.strip() == "Permission denied":
            raise Denied(f"{self.where} may not {command}", hint="give the stats socket: level admin")
        if answer.startswith("Unknown command"):
            raise HaproxyRefused(f"{self.where} does not know: {command}", hint="it needs HAProxy 2.4 or newer")
        return answer

    async def _exchange(self, command: str) -> str:
        if isinstance(self._place, Path):
            reader, writer = await asyncio.open_unix_connection(str(self._place))
        else:
            reader, writer = await asyncio.open_connection(self._place.host, self._place.port)
        try:
            writer.write(command.encode() + b"\n")
            await writer.drain()
            parts, size = [], 0
            while piece := await reader.read(1 << 16):
                size += len(piece)
                if size > _LARGEST:
                    raise HaproxyRefused(f"{self.where} answers {command} with more than {_LARGEST} bytes")
                parts.append(piece)
            return b"".join(parts).decode(errors="replace")
        finally:
            writer.close()


def _server(row: Mapping[str, str], sessions: Mapping[str, int]) -> BackendServer:
    admin = int(row["srv_admin_state"])
    state = "maint" if admin & _FORCED_MAINTENANCE else "drain" if admin & _FORCED_DRAIN else "ready"
    return BackendServer(
        name=row["srv_name"],
        address=Address(row["srv_addr"], int(row["srv_port"])),
        state=state,
        is_up=int(row["srv_op_state"]) >= _RUNNING and state != "maint",
        sessions=sessions.get(row["srv_name"], 0),
    )


def _named(text: str) -> str:
    """A word that cannot be another command. Raises: UsageError."""
    if not _NAME.fullmatch(text):
        raise UsageError(f"{printable(text, limit=100)!r} cannot stand in a command to HAProxy")
    return text
