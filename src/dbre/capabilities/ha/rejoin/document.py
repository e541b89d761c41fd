"""What ``ha.rejoin`` is asked, as a document."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["RejoinInput"]

Name = Annotated[str, Field(min_length=1, max_length=200)]


class RejoinInput(BaseModel):
    """Which instance of which cluster, and how."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: Name
    instance: Name
    clone: bool = False
    """Copy it anew, whatever its history is."""
    without_evidence: bool = False
    """Do not write what only this instance committed to a file first."""
    work: str | None = Field(None, max_length=4096)
    """Room for a copy of its data while that is read; none: the temporary directory."""
