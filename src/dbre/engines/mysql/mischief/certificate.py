"""Another certificate is shown to clients: its files stand where the server reads them, and the server reads them anew."""

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dbre.core.errors import PrecheckFailed, Unsupported
from dbre.engines.mysql.mischief.swapped_file import SwappedFile
from dbre.engines.mysql.mischief.talking import talking
from dbre.engines.mysql.wire_frames import HEADER
from dbre.engines.mysql.wire_login import ask_for_tls
from dbre.ports.engine import Access
from dbre.ports.mischief import Seen
from dbre.ports.shown_certificate import require_no_check_of_ours, seen_as, shown_at

__all__ = ["OtherCertificate", "ask_for_tls_at"]

_PARTS = ("key", "certificate")


class OtherCertificate:
    """Certificate and key; the server cannot be told of other files, so others stand in for its own."""

    def __init__(self, access: Access, tag: str) -> None:
        self._access = access
        self._tag = tag.rpartition(":")[2]

    async def prepare(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """See that the server shows one, from which files, and that we shall be let in without looking at it."""
        require_no_check_of_ours(self._access)
        async with talking(self._access) as talk:
            if talk.connection.product != "mariadb":
                raise Unsupported("certificate-expiry was never tried on MySQL", hint="it is for MariaDB, PostgreSQL, Redis")
            (row,) = await talk.rows("mischief_certificate")
        shown = await self._shown()
        if shown is None or not row["certificate"] or not row["key_file"]:
            raise PrecheckFailed(
                f"MariaDB at {self._access.address} shows no certificate of a file",
                hint="set ssl_cert and ssl_key, or leave it",
            )
        directory = Path(row["directory"])
        paths = {"certificate": directory / row["certificate"], "key": directory / row["key_file"]}
        places = {part: str((await asyncio.to_thread(SwappedFile.at, path, self._tag)).path) for part, path in paths.items()}
        return {**asked, "shown": shown.hex(), "places": places}

    async def begin(self, note: Mapping[str, Any]) -> Mapping[str, Any]:
        """Both files, and then the server's look at them."""
        for part in _PARTS:
            await asyncio.to_thread(self._file(note, part).swap, Path(note[part]))
        await self._read_anew()
        return note

    async def tend(self, note: Mapping[str, Any]) -> None:
        """Nothing: the server keeps it."""

    async def look(self, note: Mapping[str, Any]) -> Seen:
        """Shake hands with the server."""
        found = seen_as(await self._shown(), note["fingerprint"])
        async with talking(self._access):  # a whole login: logins that are cut off are counted, and would shut our host out
            return found

    async def end(self, note: Mapping[str, Any]) -> None:
        """Put both back, and let the server look at them."""
        for part in _PARTS:
            await asyncio.to_thread(self._file(note, part).put_back)
        await self._read_anew()

    def _file(self, note: Mapping[str, Any], part: str) -> SwappedFile:
        return SwappedFile(Path(note["places"][part]), self._tag)

    async def _read_anew(self) -> None:
        async with talking(self._access) as talk:
            await talk.rows("mischief_read_certificate")

    async def _shown(self) -> bytes | None:
        return await shown_at(self._access.address, "MariaDB", ask_for_tls_at)


def ask_for_tls_at(plain: socket.socket) -> bool:
    """Say upon the greeting that TLS is wanted; gives whether it will be spoken."""
    with plain.makefile("rb", buffering=0) as reader:
        head = _exactly(reader.read, HEADER)
        body = _exactly(reader.read, int.from_bytes(head[:3], "little"))
    asking = ask_for_tls(head + body)
    if asking is not None:
        plain.sendall(asking)
    return asking is not None


def _exactly(read: Any, size: int) -> bytes:
    found = b""
    while len(found) < size:
        more = read(size - len(found))
        if not more:
            raise ConnectionResetError("the server ended the connection before its greeting was whole")
        found += more
    return found
