"""The section ``operations`` of ``dbre.yaml``: how operations are run."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from dbre.core.config.fields import Duration, between
from dbre.core.config.section import Document, Fault, Section
from dbre.core.errors import UsageError
from dbre.core.operation.broker_document import BrokerDocument
from dbre.core.units import parse_duration

__all__ = ["OPERATIONS", "DispatchKind", "OperationsDocument"]


class DispatchKind(StrEnum):
    """How an operation comes to a process that runs it."""

    LOCAL = "local"
    CELERY = "celery"


class OperationsDocument(Document):
    """How operations are run."""

    lease: Annotated[Duration, between("2s", "10m")] = Field(
        default=timedelta(seconds=30),
        description="How long an operation belongs to a worker that is not heard of; then another takes it over.",
    )
    renewal: Annotated[Duration, between("200ms", "5m")] = Field(
        default=timedelta(seconds=10), description="How often a worker renews its lease; at most half of it."
    )
    concurrency: int = Field(default=8, ge=1, le=1000, description="How many operations one process runs at the same time.")
    grace: Annotated[Duration, between("1s", "1h")] = Field(
        default=timedelta(seconds=30),
        description="How long a process that is told to stop lets operations go on; then another worker takes them over.",
    )
    keep_detail: Annotated[Duration, between("1d", "3650d")] = Field(
        default=timedelta(days=90),
        description="How long after its end the journal of an operation stays in tables; then compressed, readable as before.",
    )
    dispatch: DispatchKind = Field(
        default=DispatchKind.LOCAL,
        description="Who is told of an operation: the processes that look into the state store, or workers behind a broker.",
    )
    broker: BrokerDocument | None = Field(default=None, description="The message broker, for dispatch: celery.")

    @property
    def carried_by(self) -> BrokerDocument | None:
        """The broker that is to be used; None: the store alone."""
        return self.broker if self.dispatch is DispatchKind.CELERY else None


def _faults(data: Any) -> Iterable[Fault]:
    if not isinstance(data, Mapping):
        return
    if data.get("dispatch") == DispatchKind.CELERY and not data.get("broker"):
        hint = "add  broker: {url: amqp://dbre@mq.example/dbre, password: env:DBRE_BROKER_PASSWORD}"
        yield Fault(path=("dispatch",), message="celery needs operations.broker", hint=hint)
    lease, renewal = _duration(data.get("lease", "30s")), _duration(data.get("renewal", "10s"))
    if lease and renewal and 2 * renewal > lease:
        message = f"{renewal.total_seconds():g} s is more than half of the lease of {lease.total_seconds():g} s"
        yield Fault(
            path=("renewal",), message=message, hint="one lost renewal must not cost a worker its operation; a third is usual"
        )


def _duration(value: Any) -> timedelta | None:
    try:
        return parse_duration(value) if isinstance(value, str) else None
    except UsageError:
        return None  # reported for the field itself


OPERATIONS: Section[OperationsDocument] = Section(
    key="operations",
    shape=OperationsDocument,
    default=OperationsDocument,
    summary="how operations are run: leases, concurrency, and who carries them to workers",
    faults=_faults,
)
"""The section that the composition root hands to the loader."""
