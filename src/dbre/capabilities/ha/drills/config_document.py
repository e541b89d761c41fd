"""The key ``drill`` of a cluster in the section ``ha``."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from dbre.core.config import Document, Duration, between

__all__ = ["DrillDocument"]


class DrillDocument(Document):
    """Whether failovers may be drilled on the cluster, and how long a drill says something."""

    allowed: bool | None = Field(None, description="default: everywhere but in the environment production")
    max_age: Annotated[Duration, between("1h", "1000d")] = Field(
        timedelta(days=90), description="older drills are told by dbre ha drill check"
    )

    def allows(self, environment: str) -> bool:
        """Whether a cluster of that environment may be drilled."""
        return environment != "production" if self.allowed is None else self.allowed
