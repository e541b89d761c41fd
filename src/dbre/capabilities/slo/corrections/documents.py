"""The section ``slo_corrections`` of ``dbre.yaml``."""

from typing import Annotated

from pydantic import Field

from dbre.core.config import Document, Section

__all__ = ["SLO_CORRECTIONS", "SloCorrectionsDocument"]


class SloCorrectionsDocument(Document):
    """Which operations do not count."""

    operations: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field(
        default_factory=list, max_length=100, description="kinds whose own time does not count: ha.switchover, chaos.*"
    )
    slos: list[Annotated[str, Field(min_length=1, max_length=63)]] | None = Field(
        None, description="only for these SLOs; default: every SLO of the cluster"
    )


SLO_CORRECTIONS: Section[SloCorrectionsDocument] = Section(
    key="slo_corrections",
    shape=SloCorrectionsDocument,
    default=SloCorrectionsDocument,
    summary="planned operations whose own time does not count towards error budgets",
)
