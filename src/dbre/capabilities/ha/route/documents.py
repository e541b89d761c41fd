"""The inputs of the operations on routes."""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_serializer

from dbre.core.config import Duration, Name, between

__all__ = ["SetRouteTtlInput", "SwitchRouteInput"]


class SwitchRouteInput(BaseModel):
    """Where clients are to be led."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: Name
    to: Name
    """The instance."""
    routes: tuple[Name, ...] = ()
    """Only these routes; none means all."""
    pause_limit: Annotated[Duration, between("100ms", "5m")] = timedelta(seconds=10)
    """How long running transactions may go on before clients are let go and nothing is turned."""
    settle: Annotated[Duration, between("0s", "1d")] = timedelta(seconds=30)
    """How long to watch who still goes to the old instance."""
    keep_sessions: bool = False
    """Whether connections to the old instance are left to end by themselves."""
    even_if_replica: bool = False
    """Whether the instance may be one that takes no writes."""

    @field_serializer("routes")
    def _list(self, value: tuple[str, ...]) -> list[str]:
        return list(value)


class SetRouteTtlInput(BaseModel):
    """For how long clients may keep where a route leads."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: Name
    route: Name
    ttl: Annotated[Duration, between("1s", "7d")] = Field(default=timedelta(seconds=5))
