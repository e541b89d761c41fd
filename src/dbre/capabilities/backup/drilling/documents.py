"""What ``backup.drill`` is asked, as a document."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["DrillInput"]


class DrillInput(BaseModel):
    """Which cluster, and which moment of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: Annotated[str, Field(min_length=1, max_length=200)]
    target: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """random, latest, restore_point, or a moment with its offset; none: what the policy says."""
    mode: Literal["faithful", "fast"] | None = None
    """fast: without fsync, and no measure of time; none: what the policy says."""
    set_id: Annotated[str, Field(min_length=4, max_length=80)] | None = None
    """Start from this set, by its id or a unique end of it; none: the planner chooses."""
