"""The section ``report`` of ``dbre.yaml``: what counts, and what is aimed at."""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from dbre.core.config import Document, Duration, Ratio, Section, between

__all__ = ["REPORT", "ReportDocument", "TargetsDocument", "ToilDocument"]


class ToilDocument(Document):
    """How toil is counted."""

    people: int | None = Field(None, ge=1, le=10_000, description="in the team; default as many as are seen toiling")
    weekly_hours: Annotated[Decimal, Field(gt=0, le=168)] = Field(Decimal(40), description="of one person")
    cap: Ratio = Field(Decimal("0.5"), description="part of the working week that may be toil")
    operation_limit: Annotated[Duration, between("1m", "24h")] = Field(
        timedelta(minutes=30), description="an operation that somebody began counts at most so long"
    )
    incident_limit: Annotated[Duration, between("1m", "72h")] = Field(
        timedelta(hours=4), description="an incident that somebody answered counts at most so long"
    )


class TargetsDocument(Document):
    """What is aimed at; reports say whether it is met."""

    to_resolve: Duration = Field(timedelta(minutes=15), description="mean time from the first bad event to the end, at most")
    between_failures: Duration = Field(timedelta(hours=720), description="mean time between failures, at least")
    compliance: Ratio = Field(Decimal("0.999"), description="part of the SLOs that are met, at least")
    burn_rate: Annotated[Decimal, Field(gt=0, le=1000)] = Field(Decimal(2), description="the largest of all SLOs, at most")
    toil_change: Annotated[Decimal, Field(ge=-1, le=10)] = Field(
        Decimal("-0.5"), description="of toil from one year to the next, at most: -0.5 halves it"
    )


class ReportDocument(Document):
    """What counts as a deployment and as toil, and what is aimed at."""

    deployments: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field(
        default=["*", "!slo.*", "!chaos.*", "!review.*"],
        max_length=50,
        description="kinds of operation, patterns as in a shell; ! excludes, the last that fits decides; deploys that were"
        " told of are deploy.recorded",
    )
    failing_within: Annotated[Duration, between("1m", "30d")] = Field(
        timedelta(hours=24), description="an incident of the cluster that begins so soon after a deployment is its failure"
    )
    toil: ToilDocument = ToilDocument()
    targets: TargetsDocument = TargetsDocument()


REPORT: Section[ReportDocument] = Section(
    key="report", shape=ReportDocument, default=ReportDocument, summary="what reports count, and what is aimed at"
)
