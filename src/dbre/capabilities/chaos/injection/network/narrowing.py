"""``bandwidth``: what an instance sends to others goes through a line that carries only so many bytes a second."""

from typing import Self

from pydantic import Field, model_validator

from dbre.capabilities.chaos.injection.model import Fault, FaultKind, Parameters, Scene
from dbre.capabilities.chaos.injection.network.parameters import Named, Ports
from dbre.capabilities.chaos.injection.network.place import EVERYONE
from dbre.capabilities.chaos.injection.network.slowing import Slowing
from dbre.core.config import Size
from dbre.core.errors import UsageError
from dbre.core.packets.line import Shape
from dbre.core.units import format_bytes

__all__ = ["BANDWIDTH", "Bandwidth", "BandwidthParameters"]

_LEAST, _MOST = 1000, 10**10


class BandwidthParameters(Parameters):
    """How narrow the way out is."""

    peers: Named = Field((), max_length=100, description=f"instances, addresses, networks, or {EVERYONE}; default: all others")
    ports: Ports = Field((), max_length=50, description="TCP ports at either end; default: all, or the instance's if shared")
    rate: Size = Field(description="bytes a second: 1MB")

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if not _LEAST <= self.rate <= _MOST:
            raise UsageError(f"{format_bytes(self.rate)} a second is not between 1 KB and 10 GB", hint="write rate=1MB")
        return self


class Bandwidth(Slowing):
    """A line that sends one packet after the other, each as long as its bytes take."""

    def shape(self) -> Shape:
        """As it was asked for."""
        return Shape(bytes_per_second=float(self.scene.parameters.rate))

    def check(self, before: float, now: float | None) -> str | None:  # noqa: ARG002 - a narrow line need not be slower
        """A connection is a few small packets: it comes about."""
        return "does not come about any more: something else drops what the line forwards" if now is None else None


def _make(scene: Scene) -> Fault:
    return Bandwidth(scene)


BANDWIDTH = FaultKind(
    name="bandwidth",
    summary="what the instance sends to others is limited to so many bytes a second",
    privilege="root (CAP_NET_ADMIN, CAP_SYS_ADMIN) on the server's machine, /dev/net/tun",
    proof="the kernel's way to the peers leads through the line's device, which counts what passes",
    undo="delete the rules that lead there; the device ends with the injector's process anyway",
    parameters=BandwidthParameters,
    make=_make,
    is_local=True,
)
