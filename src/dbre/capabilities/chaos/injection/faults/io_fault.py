"""``io-fault``: writes, reads or fsyncs of the server fail or take their time, in a share, by a library of ours."""

import asyncio
import errno
import os
import shutil
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from dbre.capabilities.chaos.injection.faults.preloading import Preloaded, PreloadedParameters
from dbre.capabilities.chaos.injection.model import FaultKind, Scene, Sighting
from dbre.capabilities.chaos.injection.preload.control import Control, Counts
from dbre.core.config import Duration, between
from dbre.core.errors import PrecheckFailed, UsageError
from dbre.core.programs.account import Account
from dbre.core.programs.run import run
from dbre.core.text import counted

__all__ = ["IO_FAULT", "IoFault", "IoFaultParameters"]

_SOURCE = "io_faults.c"
_LIBRARY = "io_faults.so"
_CONTROL = "control"
_COMPILER = "cc"
_SECONDS = 30.0


class Call(StrEnum):
    """What the server asks of the kernel."""

    FSYNC = "fsync"  # and fdatasync
    WRITE = "write"
    READ = "read"


_BITS = {Call.FSYNC: 1, Call.WRITE: 2, Call.READ: 4}


class IoError(StrEnum):
    """What it is told."""

    EIO = "EIO"  # the device is broken
    ENOSPC = "ENOSPC"  # it is full


class IoFaultParameters(PreloadedParameters):
    """Which calls, on which files, and what becomes of them."""

    calls: Call = Field(Call.FSYNC, description="fsync, write or read; on regular files")
    error: IoError | None = Field(None, description="EIO or ENOSPC; default: none")
    delay: Annotated[Duration, between("1ms", "60s")] | None = Field(None, description="so much later; default: none")
    share: float = Field(1.0, gt=0, le=1, description="of the calls, by chance")
    under: Annotated[str, Field(pattern=r"^/", max_length=1000)] | None = Field(
        None, description="only files whose path begins so; default all"
    )
    seed: int = Field(0, ge=0, lt=2**63, description="chance is repeated with the same one")

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if self.error is None and self.delay is None:
            raise UsageError("io-fault needs error or delay", hint="write delay=200ms, or error=ENOSPC")
        return self


class IoFault(Preloaded):
    """The library is made, loaded while it is switched off, and switched on once the server answers."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._last: Counts | None = None  # once the file is gone

    async def prepare(self) -> Mapping[str, Any]:
        """See that the library can be made here."""
        found = await super().prepare()
        if shutil.which(_COMPILER) is None:
            raise PrecheckFailed("there is no C compiler on this machine", hint="install one: apt-get install gcc libc6-dev")
        return {**found, "directory": str(Path(tempfile.gettempdir()) / f"dbre-chaos-{self.scene.id}")}

    async def begin(self, inverse: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make it, start the server with it, switch it on."""
        await self._make(inverse)
        await super().begin(inverse)
        _control(inverse).switch(is_on=True)
        return inverse

    async def environment(self, inverse: Mapping[str, Any]) -> dict[str, str]:
        """The library, and where it is told what to do."""
        place = Path(inverse["directory"])
        return {"LD_PRELOAD": str(place / _LIBRARY), "DBRE_IO_CONTROL": str(place / _CONTROL)}

    async def look(self, inverse: Mapping[str, Any]) -> Sighting:
        """Whether the server runs with the library, or ended by what that told it, and what the library has counted."""
        counts = self._last if self._last is not None else await asyncio.to_thread(_control(inverse).counts)
        is_tagged = await asyncio.to_thread(self.is_tagged)
        has_ended = not is_tagged and counts.is_on and counts.failed > 0
        told = f"{counted(counts.seen, 'call')} seen, {counts.failed} failed, {counts.delayed} delayed"
        return Sighting(is_tagged or has_ended, f"{told}; the server has ended by them" if has_ended else told)

    async def end(self, inverse: Mapping[str, Any]) -> None:
        """Switch it off at once, start the server without it, and take the files away."""
        _control(inverse).switch(is_on=False)
        await super().end(inverse)
        if self._last is None:
            self._last = await asyncio.to_thread(_control(inverse).counts)
        await asyncio.to_thread(shutil.rmtree, inverse["directory"], ignore_errors=True)

    async def _make(self, inverse: Mapping[str, Any]) -> None:
        place = Path(inverse["directory"])
        await asyncio.to_thread(_lay_out, place)
        ourselves = Account(name="us", uid=os.geteuid(), gid=os.getegid(), switch=False)
        words = [_COMPILER, "-shared", "-fPIC", "-O2", "-o", _LIBRARY, _SOURCE, "-ldl"]
        await run(words, account=ourselves, directory=place, timeout_seconds=_SECONDS)
        await asyncio.to_thread(_arm, self.scene.parameters, inverse)


def _lay_out(place: Path) -> None:
    place.mkdir(mode=0o755)  # fails where somebody else has made it
    place.chmod(0o755)  # the server's account has to load from it
    source = resources.files("dbre.capabilities.chaos.injection.preload").joinpath(_SOURCE).read_text(encoding="utf-8")
    (place / _SOURCE).write_text(source, encoding="utf-8")


def _arm(asked: IoFaultParameters, inverse: Mapping[str, Any]) -> None:
    (Path(inverse["directory"]) / _LIBRARY).chmod(0o755)
    _control(inverse).write(
        calls=_BITS[asked.calls],
        error=getattr(errno, asked.error.value) if asked.error is not None else 0,
        delay_seconds=(asked.delay or timedelta()).total_seconds(),
        share=asked.share,
        under=asked.under or "",
        seed=asked.seed,
        user=inverse["start"]["user"],
        group=inverse["start"]["group"],
    )


def _control(inverse: Mapping[str, Any]) -> Control:
    return Control(Path(inverse["directory"]) / _CONTROL)


IO_FAULT = FaultKind(
    name="io-fault",
    summary="writes, reads or fsyncs of the server fail or take their time; the server is started anew for it, twice",
    privilege="the server's account or root, on its machine, with a C compiler",
    proof="the server's environment, and the library's own counts",
    undo="switched off at once; the server is started without the library; its supervisor must not start it meanwhile",
    parameters=IoFaultParameters,
    make=IoFault,
    is_local=True,
    is_outage=True,
)
