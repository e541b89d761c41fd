"""The rungs of a fencing ladder, as ``ha: clusters: failover: fence:`` lists them."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from dbre.core.config import Document, Duration, between
from dbre.core.control_document import Argv

__all__ = ["CommandFence", "ControlFence", "FenceDocument", "NetworkFence", "SelfFence"]

_Limit = Annotated[Duration, between("1s", "10m")]


class ControlFence(Document):
    """The processes of the server are stopped as ``control:`` of its instance says, and killed where they do not obey."""

    kind: Literal["control"] = "control"
    patience: _Limit = Field(timedelta(seconds=5), description="for a stop in order; after that it is killed")


class NetworkFence(Document):
    """Packets to and from the port of the server are dropped by nftables on this machine; needs root."""

    kind: Literal["network"]
    namespace: str | None = Field(
        None, pattern=r"^[A-Za-z0-9_.-]{1,63}$", description="network namespace in which the server listens; default: our own"
    )


class CommandFence(Document):
    """A command of your own cuts it off (power, hypervisor, cloud), and another one says whether it is off."""

    kind: Literal["command"]
    fence: Argv = Field(description="absolute program and arguments; {instance}, {host}, {port} stand for the server's")
    confirm: Argv = Field(description="ends with 0 only where the server is certainly off; asked until the limit")
    release: Argv | None = Field(None, description="takes it back where nothing was promoted; default: a person does")
    limit: _Limit = Field(timedelta(seconds=60), description="for each command, and for the confirmation in all")


class SelfFence(Document):
    """Nothing is done: the server's own watchdog kills it, and all that is needed is time."""

    kind: Literal["self_fence"]
    after: Annotated[Duration, between("1s", "1h")] = Field(description="silence after which the watchdog kills the server")
    margin: Annotated[Duration, between("1s", "10m")] = Field(
        timedelta(seconds=5), description="for the kill itself, and for clocks that go at different speeds"
    )


FenceDocument = Annotated[ControlFence | NetworkFence | CommandFence | SelfFence, Field(discriminator="kind")]
"""One rung."""
