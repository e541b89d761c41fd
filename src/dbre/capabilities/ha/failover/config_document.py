"""The key ``failover`` of a cluster in the section ``ha``."""

from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, model_validator

from dbre.capabilities.ha.detection.weighing import Rules
from dbre.capabilities.ha.fencing.config_document import ControlFence, FenceDocument
from dbre.core.config import Document, Duration, Name, SecretReference, Size, between
from dbre.core.errors import UsageError

__all__ = ["BeaconDocument", "FailoverDocument"]


class BeaconDocument(Document):
    """Observers vouch for the primary that they hear, in datagrams to dbre ha watchdog beside it."""

    port: int = Field(ge=1, le=65_535, description="UDP, on the host of every instance")
    secret: SecretReference = Field(description="signs the datagrams; the same for observers and watchdogs")


class FailoverDocument(Document):
    """When dbre promotes a replica of a cluster whose primary is dead, and what it does before."""

    auto: bool = Field(False, description="the control plane fails over by itself; default: it only tells")
    observers: tuple[Name, ...] = Field(
        (), max_length=15, description="names given to dbre ha observe --as; a majority of these decides; control-plane is one"
    )
    confirm: Annotated[Duration, between("500ms", "10m")] = Field(
        timedelta(seconds=1), description="how long the primary must be silent for an observer before it says so"
    )
    stale: Annotated[Duration, between("1s", "10m")] = Field(
        timedelta(seconds=3), description="an observer that reported nothing for so long is not counted"
    )
    block: Annotated[Duration, between("1s", "30d")] = Field(
        timedelta(hours=1), description="after a failover none happens by itself for so long"
    )
    max_loss: Size = Field(  # type: ignore[assignment]  # the default is read like what is given
        "0B", description="of the log, which the candidate may lack; engines that count bytes"
    )
    max_lost_transactions: int = Field(0, ge=0, description="the same where transactions are counted: MariaDB, MySQL")
    drain: Annotated[Duration, between("1s", "1d")] = Field(
        timedelta(minutes=5), description="how long the candidate may take to apply what it has received"
    )
    prefer: tuple[Name, ...] = Field((), description="instances in the order in which they are promoted if they lose the same")
    never: tuple[Name, ...] = Field((), description="instances that are never promoted")
    beacon: BeaconDocument | None = Field(None, description="for watchdogs of servers without Patroni; default: none is sent")
    fence: tuple[FenceDocument, ...] = Field(
        (ControlFence(),), min_length=1, max_length=10, description="rungs, tried in this order until one is confirmed"
    )

    @model_validator(mode="after")
    def _can_decide(self) -> Self:
        if len(set(self.observers)) < len(self.observers):
            raise UsageError("an observer is named twice", hint="each speaks once")
        if self.auto and len(self.observers) < 2:
            raise UsageError(
                "auto needs 2 observers at least: one alone cannot tell a dead primary from its own broken network",
                hint="list them under observers, and run dbre ha observe --as NAME on machines with paths of their own",
            )
        both = sorted(set(self.prefer) & set(self.never))
        if both:
            raise UsageError(f"{both[0]} is both preferred and never to be promoted")
        return self

    @property
    def rules(self) -> Rules:
        """Whom the decision listens to."""
        return Rules(
            observers=self.observers,
            confirm_seconds=self.confirm.total_seconds(),
            stale_seconds=self.stale.total_seconds(),
        )
