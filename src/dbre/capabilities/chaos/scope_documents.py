"""Parts of an experiment that limit it and say what is expected: whom it may touch, what may be lost, how soon all is well."""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from dbre.core.config import Duration, Ratio, between
from dbre.core.gates.calendar import time_zone
from dbre.core.gates.document import WhenDocument

__all__ = ["AbortRule", "Blast", "ClientsOrder", "Objectives"]

Name = Annotated[str, Field(min_length=1, max_length=200)]


def _check_zone(name: str) -> str:
    time_zone(name)
    return name


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AbortRule(_Part):
    """When everything is taken back at once."""

    slo: Name = Field(description="an objective of the cluster")
    burn: float | None = Field(None, gt=0, description="burns so many times too fast; without it: it pages")
    spends: Ratio | None = Field(None, description="the experiment has spent so much of its error budget: 5 %")


class Blast(_Part):
    """What the experiment keeps away from, besides what the configuration says under chaos.rules."""

    protected: tuple[Name, ...] = Field((), max_length=100, description="instances to which nothing is done")
    connections: Ratio = Field(Decimal(1), description="at most so much of a server's places for clients is taken: 50 %")
    environments: tuple[Name, ...] = Field((), max_length=20, description="it runs nowhere else; default: anywhere")
    window: WhenDocument | None = Field(None, description="it begins at no other time, as under gates.change_windows")
    time_zone: Annotated[str, AfterValidator(_check_zone)] = Field("UTC", description="IANA name of the zone of window")


class Objectives(_Part):
    """What is expected of the cluster while something is broken; the score compares with it."""

    recovery: Annotated[Duration, between("100ms", "24h")] = Field(
        timedelta(seconds=60), description="the longest time without service"
    )
    detection: Annotated[Duration, between("100ms", "24h")] = Field(
        timedelta(seconds=60), description="until something notices"
    )
    loss: int = Field(0, ge=0, description="acknowledged writes that may be lost")


class ClientsOrder(_Part):
    """Clients that work all the while, and tell what they saw."""

    workload: Literal["ledger", "register", "set", "list-append", "bank"] = Field("ledger", description="what they do")
    rate: float = Field(50.0, ge=0.1, le=5000, description="operations a second, of all together")
    mode: Literal["open", "closed"] = Field("open", description="open: at a fixed rate; closed: one after the other")
