"""What ``ha.rejoin`` is asked, as a document."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["HowBack", "Name", "RejoinInput"]

Name = Annotated[str, Field(min_length=1, max_length=200)]


class HowBack(BaseModel):
    """How an instance is brought back, whatever comes after."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    clone: bool = False
    """Copy it anew, whatever its history is."""
    without_evidence: bool = False
    """Do not write what only this instance committed to a file first."""
    work: str | None = Field(None, max_length=4096)
    """Room for a copy of its data while that is read; none: the temporary directory."""

    def how(self) -> dict[str, Any]:
        """To hand on to another document of this kind."""
        return self.model_dump(include=set(HowBack.model_fields))


class RejoinInput(HowBack):
    """Which instance of which cluster, and how."""

    cluster: Name
    instance: Name
