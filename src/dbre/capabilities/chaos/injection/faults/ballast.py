"""``disk-ballast``: a file takes the room of a file system, and never the last of it."""

import asyncio
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from dbre.capabilities.chaos.injection.model import Fault, FaultKind, InjectionFailed, Parameters, Scene, Sighting
from dbre.core.config import Size
from dbre.core.errors import PrecheckFailed, UsageError
from dbre.core.text import printable
from dbre.core.units import format_bytes

__all__ = ["BALLAST", "Ballast", "BallastParameters"]

_CHUNK_BYTES = 64 * 2**20
_LOWEST_FLOOR = 10**6


class BallastParameters(Parameters):
    """How much room is taken, and where."""

    directory: Annotated[str, Field(pattern=r"^/", max_length=4000)]
    """A directory of the file system that is to run short."""
    size: Size | None = None
    """So much is taken."""
    leave: Size | None = None
    """So much is left free."""
    floor: Size = 2**30
    """Never less than this stays free, whatever others write meanwhile: twice the log's largest size is a good floor."""

    @model_validator(mode="after")
    def _asks_for_one(self) -> Self:
        if (self.size is None) == (self.leave is None):
            raise UsageError("disk-ballast needs either size or leave", hint="write size: 500MB, or leave: 2GB")
        if self.floor < _LOWEST_FLOOR:
            raise UsageError(f"floor {format_bytes(self.floor)} is below 1 MB: a full file system may end a server for good")
        return self


class Ballast(Fault):
    """A file with room reserved for it."""

    async def prepare(self) -> Mapping[str, Any]:
        """See that the file system has that room above the floor."""
        size = await asyncio.to_thread(_wanted, self.scene.parameters)
        asked: BallastParameters = self.scene.parameters
        return {"path": str(Path(asked.directory) / self._name), "bytes": size, "floor": asked.floor}

    async def begin(self, inverse: Mapping[str, Any]) -> Mapping[str, Any]:
        """Take the room piece by piece, as long as the floor is kept."""
        path, size, floor = Path(inverse["path"]), inverse["bytes"], inverse["floor"]
        await asyncio.to_thread(_create, path)
        for start in range(0, size, _CHUNK_BYTES):
            await asyncio.to_thread(_take, path, start, min(_CHUNK_BYTES, size - start), floor)
        return inverse

    async def look(self, inverse: Mapping[str, Any]) -> Sighting:
        """Whether the file holds blocks, and how much is free."""
        return await asyncio.to_thread(_look, Path(inverse["path"]))

    async def end(self, inverse: Mapping[str, Any]) -> None:
        """Delete the file."""
        path = Path(inverse["path"])
        if path.name == self._name:
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def tend(self, inverse: Mapping[str, Any]) -> None:
        """Give room back where somebody else has eaten into the floor."""
        await asyncio.to_thread(_shrink, Path(inverse["path"]), inverse["floor"])

    @property
    def _name(self) -> str:
        return f".dbre-chaos-{self.scene.id}.ballast"


def _wanted(asked: BallastParameters) -> int:
    directory, shown = Path(asked.directory), printable(asked.directory)
    try:
        free = _free(directory)
    except OSError as error:
        raise PrecheckFailed(f"{shown} cannot be used: {error.strerror}", hint="name a directory of this machine") from error
    if not directory.is_dir() or not os.access(directory, os.W_OK):
        raise PrecheckFailed(f"{shown} is no directory that this process may write to", hint="run it as its owner")
    size = asked.size if asked.size is not None else free - (asked.leave or 0)
    if size <= 0:
        raise PrecheckFailed(f"{shown} has only {format_bytes(free)} free as it is", hint="nothing has to be taken")
    if free - size < asked.floor:
        raise PrecheckFailed(
            f"{format_bytes(size)} of {format_bytes(free)} free in {shown} would leave less than the floor of "
            f"{format_bytes(asked.floor)}",
            hint="take less, or give a lower floor if the server's log lies elsewhere",
        )
    return size


def _look(path: Path) -> Sighting:
    try:
        held = path.lstat().st_blocks * 512
    except FileNotFoundError:
        free = f"; {format_bytes(_free(path.parent))} free" if path.parent.is_dir() else ""
        return Sighting(False, f"no ballast{free}")
    return Sighting(True, f"{format_bytes(held)} held; {format_bytes(_free(path.parent))} free")


def _free(directory: Path) -> int:
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


def _create(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise InjectionFailed(f"{printable(str(path))} cannot be made: {error.strerror}") from error


def _take(path: Path, start: int, size: int, floor: int) -> None:
    """Opened anew each time: once the file is deleted, nothing more is taken."""
    if _free(path.parent) - size < floor:
        raise InjectionFailed(f"others write to {printable(str(path.parent))}: the floor of {format_bytes(floor)} is near")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.posix_fallocate(descriptor, start, size)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise InjectionFailed(f"{printable(str(path))} cannot be filled: {error.strerror}") from error


def _shrink(path: Path, floor: int) -> None:
    missing = floor - _free(path.parent)
    if missing <= 0:
        return
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode):
            os.ftruncate(descriptor, max(0, found.st_size - missing))
    finally:
        os.close(descriptor)


def _make(scene: Scene) -> Fault:
    return Ballast(scene)


BALLAST = FaultKind(
    name="disk-ballast",
    summary="a file takes the room of a file system, down to a floor that is kept",
    privilege="write to a directory of that file system, on its machine",
    proof="the file's blocks, and what statvfs calls free",
    undo="delete the file",
    parameters=BallastParameters,
    make=_make,
    is_local=True,
)
