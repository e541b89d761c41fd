"""``clock-skew``: the server's clock goes wrong by some seconds, or too fast (libfaketime); timers keep the right time."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from dbre.capabilities.chaos.injection.faults.preloading import Preloaded, PreloadedParameters
from dbre.capabilities.chaos.injection.model import FaultKind, Sighting
from dbre.capabilities.chaos.injection.preload.faketime_shared import remove_since, shared_files
from dbre.core.config import Duration, between
from dbre.core.errors import PrecheckFailed, UsageError
from dbre.core.units import format_duration

__all__ = ["CLOCK_SKEW", "ClockSkew", "ClockSkewParameters"]

_LIBRARY = "libfaketimeMT.so.1"
_PLACES = ("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/lib64/faketime", "/usr/local/lib/faketime")
_TOLERANCE_SECONDS = 1.0


class ClockSkewParameters(PreloadedParameters):
    """How wrong."""

    ahead: Annotated[Duration, between("2s", "3650d")] | None = Field(None, description="so far ahead of the right time")
    behind: Annotated[Duration, between("2s", "3650d")] | None = Field(None, description="so far behind it")
    rate: float = Field(1.0, ge=0.01, le=100, description="so many times as fast")

    @model_validator(mode="after")
    def _is_wrong(self) -> Self:
        if self.ahead is not None and self.behind is not None:
            raise UsageError("a clock is either ahead or behind", hint="write behind=1h")
        if self.skew == timedelta() and self.rate == 1.0:
            raise UsageError("clock-skew needs ahead, behind or rate", hint="write behind=1h")
        return self

    @property
    def skew(self) -> timedelta:
        """By how much it is wrong at the beginning."""
        return (self.ahead or timedelta()) - (self.behind or timedelta())


class ClockSkew(Preloaded):
    """Another clock by a library; the server is asked what time it is."""

    async def prepare(self) -> Mapping[str, Any]:
        """Find the library too."""
        found = await super().prepare()
        shared = await asyncio.to_thread(shared_files, found["start"]["user"])
        return {**found, "library": str(await asyncio.to_thread(_library)), "offset": await self._offset(), "shared": shared}

    async def end(self, inverse: Mapping[str, Any]) -> None:
        """Take away what the library has left in shared memory, too."""
        await super().end(inverse)
        if "shared" in inverse:  # not so in a state file of an older version
            await asyncio.to_thread(remove_since, inverse["shared"], inverse["start"]["user"])

    async def environment(self, inverse: Mapping[str, Any]) -> dict[str, str]:
        """Only the time of day is wrong: timers go by another clock on real machines too."""
        asked: ClockSkewParameters = self.scene.parameters
        rate = f" x{asked.rate:g}" if asked.rate != 1.0 else ""
        return {
            "LD_PRELOAD": inverse["library"],
            "FAKETIME": f"{asked.skew.total_seconds():+g}s{rate}",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_NO_CACHE": "1",
        }

    async def look(self, inverse: Mapping[str, Any]) -> Sighting:
        """Ask the server what time it is."""
        offset = await self._offset()
        is_tagged = await asyncio.to_thread(self.is_tagged)
        is_wrong = abs(offset - inverse["offset"]) > _TOLERANCE_SECONDS or self.scene.parameters.rate != 1.0
        return Sighting(
            is_tagged and is_wrong,
            f"the server's clock is {format_duration(abs(offset))} {'ahead' if offset >= 0 else 'behind'}",
        )

    async def _offset(self) -> float:
        port = self.scene.engines.get(self.scene.engine).mischief(self.scene.access)
        return (await port.now() - datetime.now(UTC)).total_seconds()


def _library() -> Path:
    for place in _PLACES:
        for path in sorted(Path("/").glob(f"{place.lstrip('/')}/{_LIBRARY}")):
            return path
    raise PrecheckFailed(f"{_LIBRARY} is not on this machine", hint="install it: apt-get install libfaketime")


CLOCK_SKEW = FaultKind(
    name="clock-skew",
    summary="the server's clock is wrong by some seconds or goes too fast; the server is started anew for it, twice",
    privilege="the server's account or root, on its machine, with libfaketime",
    proof="the server is asked what time it is",
    undo="the server is started without the library; its supervisor must not start it meanwhile",
    parameters=ClockSkewParameters,
    make=ClockSkew,
    is_local=True,
    is_outage=True,
)
