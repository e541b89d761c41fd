"""The input of ``ha.drill``."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from dbre.core.config import Document, Duration, Name, between

__all__ = ["Changer", "DrillInput", "DrillKind"]


class DrillKind(StrEnum):
    """What is done to the primary."""

    LEADER_CRASH = "leader-crash"  # the database is killed; what runs it lives
    NODE_LOSS = "node-loss"  # the database and what runs it are killed; connections are reset
    FREEZE = "freeze"  # both are stopped; connections stay open, and nobody answers
    PATRONI_FREEZE = "patroni-freeze"  # what runs it is stopped; the database goes on
    BLACK_HOLE = "black-hole"  # no packet of it comes through
    PARTITION = "partition"  # cut off from the others and the consensus store; clients reach it
    DCS_LOSS = "dcs-loss"  # the consensus store is stopped
    REGION_LOSS = "region-loss"  # every instance at the site of the primary is killed, by the plan for the loss of a site
    PLANNED = "planned"  # a switchover


class Changer(StrEnum):
    """Who makes another instance the primary."""

    PATRONI = "patroni"
    DBRE = "dbre"  # ha.failover; where Patroni runs the cluster, ha.release: fence, and let go of the lease


class DrillInput(Document):
    """Which cluster, what is done to it, and how often."""

    cluster: Name = Field(description="of the inventory")
    kind: DrillKind = Field(description="what is done to the primary")
    runs: int = Field(1, ge=1, le=50, description="one after the other, with the cluster whole again in between")
    by: Changer | None = Field(None, description="who changes the primary; default: Patroni where it runs the cluster")
    rate: float = Field(50.0, ge=1, le=2000, description="writes and reads a second, of all clients together")
    limit: Annotated[Duration, between("5s", "30m")] = Field(
        timedelta(minutes=2), description="until another instance takes writes"
    )
    whole: Annotated[Duration, between("5s", "2h")] = Field(
        timedelta(minutes=5), description="until as many replicas as before follow the new primary"
    )
    lasts: Annotated[Duration, between("1s", "10m")] = Field(
        timedelta(seconds=20), description="dcs-loss: how long the store is away"
    )
