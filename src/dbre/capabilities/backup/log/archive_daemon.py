"""Takes log files from servers' ``archive_command`` over a unix socket: durable in the spool before the answer is yes."""

import asyncio
import json
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from dbre.capabilities.backup.log.fetching import check_name
from dbre.capabilities.backup.log.handed_over import take_over
from dbre.capabilities.backup.log.news import LogNews
from dbre.capabilities.backup.log.sealing import LogOwner
from dbre.core.errors import Conflict, DbreError, Denied, UsageError
from dbre.core.programs.account import Account
from dbre.core.text import printable
from dbre.ports.backup.errors import LogConflict

__all__ = ["ARCHIVE_SOCKET", "ArchiveDaemon", "ArchivePlace"]

ARCHIVE_SOCKET = "archive.sock"

_HEADER_BYTES = 4096
_LARGEST_FILE = 1 << 30  # a segment of PostgreSQL is at most 1 GiB
_SECONDS = 120.0
_CREDENTIALS = struct.Struct("3i")
_OK, _CONFLICT, _LATER = 0, 1, 75  # above 125 the server would take the program for killed: EX_TEMPFAIL of sysexits.h
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivePlace:
    """Where the files of one cluster go."""

    owner: LogOwner
    spool: Path
    news: LogNews


class ArchiveDaemon:
    """Answers ``dbre-archive``. ``find`` gives the place of a cluster, or raises."""

    def __init__(self, path: Path, account: Account, find: Callable[[str], Awaitable[ArchivePlace]]) -> None:
        self._path = path
        self._account = account
        self._find = find

    async def run(self) -> None:
        """Serve until cancelled. Raises: UsageError where the socket cannot be made, or another process serves it."""
        await asyncio.to_thread(self._make_way)
        try:
            server = await asyncio.start_unix_server(self._serve, path=self._path, limit=_HEADER_BYTES)
        except OSError as error:
            raise UsageError(f"{self._path} cannot be served: {error.strerror}", hint="backup.archive.socket") from error
        async with server:
            os.chown(self._path, self._account.uid, -1, follow_symlinks=False) if os.geteuid() == 0 else None
            self._path.chmod(0o600)
            try:
                await server.serve_forever()
            finally:
                self._path.unlink(missing_ok=True)

    def _make_way(self) -> None:
        self._path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        if not self._path.is_socket():
            return
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self._path))
            except ConnectionRefusedError:
                self._path.unlink(missing_ok=True)  # of a control plane that was killed
            else:
                raise UsageError(f"another process serves {self._path}", hint="one control plane takes log files on a machine")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_SECONDS):
                code, message = await self._answer(reader, writer)
                writer.write(json.dumps({"code": code, "message": printable(message, limit=500)}).encode() + b"\n")
                await writer.drain()
        except (TimeoutError, ConnectionError) as error:  # the server tries again
            _log.warning("archive_client_lost", reason=type(error).__name__)
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[int, str]:
        place: ArchivePlace | None = None
        try:
            self._require_known(writer)
            cluster, name, size = await _header(reader)
            place = await self._find(cluster)
            source = place.owner.source
            if source is not None and source.is_dispensable(name):
                return _OK, "not kept: no recovery needs it"
            await take_over(place.owner, place.spool, name, size, reader, account=self._account)
        except LogConflict as error:
            if place is not None:
                await place.news.tell("backup.log_conflict", error.message, hint=error.hint)
            return _CONFLICT, error.message
        except DbreError as error:
            _log.warning("archive_refused", reason=error.message)
            return _LATER, error.message
        except OSError as error:
            _log.warning("archive_failed", reason=str(error))
            return _LATER, f"the file cannot be kept: {error.strerror}"
        return _OK, "kept"

    def _require_known(self, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("socket")
        _, uid, _ = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        if uid not in (0, os.geteuid(), self._account.uid):
            raise Denied(f"user {uid} may not hand over log files", hint=f"they are taken from {self._account.name} and root")


async def _header(reader: asyncio.StreamReader) -> tuple[str, str, int]:
    try:
        document = json.loads(await reader.readline())
        cluster, name, size = document["cluster"], document["name"], document["size"]
    except (ValueError, KeyError, TypeError) as error:
        raise Conflict(
            "this is no greeting of dbre-archive", hint="write the client again: dbre backup log archive-client"
        ) from error
    if not isinstance(cluster, str) or not isinstance(name, str) or not isinstance(size, int) or not 0 < size <= _LARGEST_FILE:
        raise Conflict("a log file has a name and between 1 byte and 1 GiB", hint="is the file empty?")
    return cluster, check_name(name), size
