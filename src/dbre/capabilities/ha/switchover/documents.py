"""What ``ha.switchover`` is asked, as a document."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["SwitchoverInput"]

Name = Annotated[str, Field(min_length=1, max_length=200)]


class SwitchoverInput(BaseModel):
    """Which cluster, and to whom."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: Name
    to: Name | None = None
    """The instance that becomes primary; none: the best one."""
