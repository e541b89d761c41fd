"""What ``ha.failback`` is asked, as a document."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["FailbackInput"]

Name = Annotated[str, Field(min_length=1, max_length=200)]


class FailbackInput(BaseModel):
    """Which cluster, to whom, and how that one is brought back."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: Name
    to: Name | None = None
    """The instance that becomes primary again; none: the one that was it before."""
    patience_seconds: float = Field(3600.0, gt=0, le=7 * 86_400)
    """How long it may take, once it follows, until it has caught up."""
    clone: bool = False
    """Copy it anew, whatever its history is."""
    without_evidence: bool = False
    """Do not write what only it committed to a file first."""
    work: str | None = Field(None, max_length=4096)
    """Room for a copy of its data while that is read; none: the temporary directory."""
