"""``cache-drop``: what the kernel keeps of a server's files is thrown away again and again: reads come from the disk."""

import asyncio
import ctypes
import mmap
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from dbre.capabilities.chaos.injection.local_process import main_process
from dbre.capabilities.chaos.injection.model import Fault, FaultKind, Parameters, Scene, Sighting
from dbre.core.errors import PrecheckFailed
from dbre.core.text import printable
from dbre.core.units import format_bytes

__all__ = ["CACHE_DROP", "CacheDrop", "CacheDropParameters"]

_NEGLIGIBLE_BYTES = 2**20
_GONE = 0.5  # of what was there: the server goes on reading meanwhile
_LOWEST_BIT = bytes(number & 1 for number in range(256))  # of what mincore says of a page; the others are not defined


class CacheDropParameters(Parameters):
    """Whose files."""

    directory: Annotated[str, Field(pattern=r"^/", max_length=4000)] | None = Field(
        None, description="the files below it; default: where the server's main process works, its data"
    )


class CacheDrop(Fault):
    """POSIX_FADV_DONTNEED on every file, each second: files of others are left alone, and nothing has to be put back."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._before = 0
        self._after: int | None = None  # bytes that the kernel holds, once they were dropped; None: not begun, or ended

    async def prepare(self) -> Mapping[str, Any]:
        """Find the files and see that they may be read."""
        directory = self.scene.parameters.directory
        if directory is None:
            main = await asyncio.to_thread(main_process, self.scene.access.address)
            directory = await asyncio.to_thread(_working_directory, main.pid)
        if not await asyncio.to_thread(lambda: next(_readable(Path(directory)), None)):
            raise PrecheckFailed(
                f"no file below {printable(directory)} can be read by this process",
                hint="run it as the server's own account, or as root",
            )
        return {"directory": directory}

    async def begin(self, inverse: Mapping[str, Any]) -> Mapping[str, Any]:
        """Drop them for the first time."""
        place = Path(inverse["directory"])
        self._before = await asyncio.to_thread(_held, place)
        await asyncio.to_thread(_drop, place)
        self._after = await asyncio.to_thread(_held, place)
        return inverse

    async def look(self, inverse: Mapping[str, Any]) -> Sighting:  # noqa: ARG002 - nothing of it stays
        """What the kernel held before and after; nothing is left where nobody drops them any more."""
        if self._after is None:
            return Sighting(False, "nothing is dropped any more; the cache fills by itself")
        is_on = self._after <= max(self._before * _GONE, _NEGLIGIBLE_BYTES)
        return Sighting(is_on, f"{format_bytes(self._before)} were held in memory, {format_bytes(self._after)} after the drop")

    async def tend(self, inverse: Mapping[str, Any]) -> None:
        """Drop what has come since."""
        await asyncio.to_thread(_drop, Path(inverse["directory"]))

    async def end(self, inverse: Mapping[str, Any]) -> None:  # noqa: ARG002 - nothing was changed
        """No more."""
        self._after = None


def _working_directory(pid: int) -> str:
    try:
        found = os.readlink(f"/proc/{pid}/cwd")  # noqa: PTH115 - text
    except OSError as error:
        raise PrecheckFailed(
            f"where process {pid} works cannot be read: {error.strerror}", hint="run it as its account, or as root"
        ) from error
    if found == "/":
        raise PrecheckFailed(f"process {pid} works in /, which says nothing of its files", hint="name its data with directory")
    return found


def _readable(directory: Path) -> Iterator[int]:
    """Descriptors of the regular files below, each closed once the next one is asked for; links are not followed."""
    for root, _, names in os.walk(directory):
        for name in names:
            with suppress(OSError):  # deleted meanwhile, or no file
                path = Path(root, name)
                if path.is_symlink() or not path.is_file():
                    continue
                descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    yield descriptor
                finally:
                    os.close(descriptor)


def _drop(directory: Path) -> None:
    for descriptor in _readable(directory):
        with suppress(OSError):  # a file system that knows no such advice: the proof will tell
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def _held(directory: Path) -> int:
    """How much of the files is in memory, in bytes, as mincore(2) tells it."""
    library = ctypes.CDLL(None, use_errno=True)
    return sum(_held_of(descriptor, library) for descriptor in _readable(directory))


def _held_of(descriptor: int, library: ctypes.CDLL) -> int:
    """Nothing of a file that a server makes shorter while we look, or that cannot be mapped."""
    try:
        # Private and writable: only such a map has an address that can be had here; nothing is written.
        mapped = mmap.mmap(descriptor, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    except (OSError, ValueError):  # ValueError: it is empty
        return 0
    with mapped:
        told = (ctypes.c_ubyte * ((len(mapped) + mmap.PAGESIZE - 1) // mmap.PAGESIZE))()
        view = ctypes.c_char.from_buffer(mapped)
        failed = library.mincore(ctypes.c_void_p(ctypes.addressof(view)), ctypes.c_size_t(len(mapped)), told)
        del view  # else the map cannot be closed
    return 0 if failed else bytes(told).translate(_LOWEST_BIT).count(1) * mmap.PAGESIZE


def _make(scene: Scene) -> Fault:
    return CacheDrop(scene)


CACHE_DROP = FaultKind(
    name="cache-drop",
    summary="what the kernel keeps of the server's files in memory is dropped each second; the server's own buffers stay",
    privilege="read the server's files: its account or root, on its machine",
    proof="how much of the files the kernel holds in memory (mincore), before and after",
    undo="nothing has to be: no more is dropped, and the cache fills by itself",
    parameters=CacheDropParameters,
    make=_make,
    is_local=True,
)
