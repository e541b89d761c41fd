"""The server that is copied from: whether mariadb-backup, which reads its files, can be run for it here."""

import asyncio
import os
from pathlib import Path

from dbre.core.packets.own_addresses import is_of_this_machine
from dbre.core.programs.processes import serving
from dbre.core.text import printable
from dbre.core.units import format_bytes
from dbre.engines.mysql.backup.source import Source, read_system_id, size_of
from dbre.engines.mysql.backup.survey import survey_source
from dbre.engines.mysql.host import PROGRAMS
from dbre.engines.mysql.session import is_switched_on
from dbre.ports.backup.model import Place
from dbre.ports.engine import Access

__all__ = ["why_not_from"]

_ROOM_LEFT = 64 * 2**20  # mariadb-backup writes a log of what changes meanwhile; more than this is seen when it fails


async def why_not_from(access: Access, source: Source, *, target: Path, place: Place) -> str | None:
    """What keeps a copy of that server from being made beside ``target``, if anything. Raises: Unreachable, Denied."""
    data = source.data_directory
    where = printable(str(data), limit=200)
    if not source.has_binlog:
        return f"{access.address} writes no binary log, so that nobody could say from where its copy is to follow"
    if source.is_replica and not is_switched_on(source.settings["log_slave_updates"]):
        return f"{access.address} does not log what it applies, so that nobody could say from where its copy is to follow"
    if await asyncio.to_thread(_is_elsewhere, data, target):
        return f"the files of {access.address}, in {where} there, are not on this machine: mariadb-backup runs where they are"
    near = [one.pid for one in await asyncio.to_thread(serving, data, lambda _, name: name in PROGRAMS)]
    if not near or not await is_of_this_machine(access.address, near=near):
        return f"what lies in {where} here is not what {access.address} serves: mariadb-backup runs on its machine"
    seen = await survey_source(access, place)
    blocking = [one for one in seen.problems if one.is_blocking]
    if blocking:
        return "; ".join(f"{one.message} ({one.hint})" for one in blocking)
    return await asyncio.to_thread(_why_no_room, target, data)


def _is_elsewhere(data: Path, target: Path) -> bool:
    return data.resolve() == target.resolve() or read_system_id(data) is None


def _why_no_room(target: Path, data: Path) -> str | None:
    found = os.statvfs(target.parent)
    free, needed = found.f_bavail * found.f_frsize, size_of(data) + _ROOM_LEFT
    if free >= needed:
        return None
    return f"{format_bytes(needed)} are needed beside {target}, where the copy is made, and {format_bytes(free)} are free"
