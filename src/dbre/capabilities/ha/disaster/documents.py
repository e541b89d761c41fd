"""What the operations of plans for the loss of a site are asked."""

from typing import Self

from pydantic import Field, model_validator

from dbre.capabilities.ha.failover.document import FailoverInput
from dbre.core.config import Document, Name
from dbre.core.errors import UsageError

__all__ = ["FailbackInput", "RehearseInput", "SiteFailoverInput", "SwitchSitesInput"]


class RehearseInput(Document):
    """Which plan is tried."""

    cluster: Name = Field(description="of the inventory")
    to: Name | None = Field(None, description="the site that would take over; default: the first other one")


class SwitchSitesInput(Document):
    """Which cluster moves to which site."""

    cluster: Name = Field(description="of the inventory")
    to: Name | None = Field(None, description="the site; default: the first other one")


class FailbackInput(Document):
    """Which cluster is led home."""

    cluster: Name = Field(description="of the inventory")
    without_evidence: bool = Field(False, description="do not write what only an instance committed to a file first")
    patience_seconds: float = Field(
        4 * 3600.0, gt=0, le=7 * 86_400, description="how long who comes home may take to catch up once it follows"
    )


class SiteFailoverInput(FailoverInput):
    """Which site is lost, and whose word stands for a fence."""

    attested_by: str | None = Field(None, min_length=1, max_length=200, description="who says that the site is dead")
    attested: str | None = Field(None, min_length=1, max_length=1000, description="how that person knows")

    @model_validator(mode="after")
    def _whole_attestation(self) -> Self:
        if (self.attested_by is None) != (self.attested is None):
            raise UsageError(
                "an attestation has a name and says how that person knows",
                hint="--attested-by NAME --because TEXT, for example: the data centre reports a loss of power",
            )
        return self
