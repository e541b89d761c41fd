"""``delay``: what an instance sends to others arrives late, unevenly, in another order, or not at all."""

from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, model_validator

from dbre.capabilities.chaos.injection.model import Fault, FaultKind, Parameters, Scene
from dbre.capabilities.chaos.injection.network.parameters import Named, Ports
from dbre.capabilities.chaos.injection.network.place import EVERYONE
from dbre.capabilities.chaos.injection.network.slowing import Slowing
from dbre.core.config import Duration, between
from dbre.core.errors import UsageError
from dbre.core.packets.line import Shape
from dbre.core.units import format_duration

__all__ = ["DELAY", "Delay", "DelayParameters"]

_SHARE = 0.5  # of the shortest delay: less than that was not caused by the line


class DelayParameters(Parameters):
    """How slow and how unreliable the way out is."""

    peers: Named = Field((), max_length=100, description=f"instances, addresses, networks, or {EVERYONE}; default: all others")
    ports: Ports = Field((), max_length=50, description="TCP ports at either end; default: all, or the instance's if shared")
    delay: Annotated[Duration, between("0s", "10s")] = Field(timedelta(0), description="of each packet that it sends")
    jitter: Annotated[Duration, between("0s", "5s")] = Field(timedelta(0), description="so much more or less, evenly spread")
    loss: float = Field(0.0, ge=0, le=90, description="percent of the packets")
    reorder: float = Field(0.0, ge=0, le=50, description="percent of the packets that do not wait, and overtake others")

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if not self.delay and not self.loss:
            raise UsageError("delay needs a delay or a loss", hint="write delay=50ms, or loss=5")
        if self.jitter > self.delay:
            raise UsageError("jitter is longer than the delay: no packet leaves before it came", hint="write a shorter jitter")
        return self


class Delay(Slowing):
    """A line that keeps each packet a while."""

    def shape(self) -> Shape:
        """As it was asked for."""
        asked: DelayParameters = self.scene.parameters
        return Shape(
            delay_seconds=asked.delay.total_seconds(),
            jitter_seconds=asked.jitter.total_seconds(),
            loss_percent=asked.loss,
            reorder_percent=asked.reorder,
        )

    def check(self, before: float, now: float | None) -> str | None:
        """Where none is to be lost a connection comes about, and takes longer by the delay."""
        asked: DelayParameters = self.scene.parameters
        if asked.loss > 0 or asked.reorder > 0:
            return None
        least = (asked.delay - asked.jitter).total_seconds()
        if now is None:
            return None if least > _SHARE else "does not come about any more: something else drops what the line forwards"
        if now < before + _SHARE * least and now < least:
            return f"takes {format_duration(now)}: it does not go through the line"
        return None


def _make(scene: Scene) -> Fault:
    return Delay(scene)


DELAY = FaultKind(
    name="delay",
    summary="packets that the instance sends arrive later, with jitter, loss and in another order",
    privilege="root (CAP_NET_ADMIN, CAP_SYS_ADMIN) on the server's machine, /dev/net/tun",
    proof="the kernel's way to the peers leads through the line's device, and a connection takes as much longer",
    undo="delete the rules that lead there; the device ends with the injector's process anyway",
    parameters=DelayParameters,
    make=_make,
    is_local=True,
)
