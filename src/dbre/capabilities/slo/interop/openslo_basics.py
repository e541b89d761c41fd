"""What all objects of OpenSLO share: names, labels, durations, and where a metric is asked."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from dbre.core.config import Document
from dbre.core.errors import UsageError

__all__ = ["NAME", "Metadata", "Metric", "OpenSloDuration", "Operator", "seconds_of"]

NAME = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800, "M": 30 * 86_400, "Q": 90 * 86_400, "Y": 365 * 86_400}
_DURATION = re.compile(r"([1-9][0-9]{0,9})([mhdwMQY])")


def _check_duration(text: str) -> str:
    if _DURATION.fullmatch(text) is None:
        raise UsageError(f"{text!r} is not a duration", hint="write a whole number and one of m, h, d, w, M, Q, Y: 5m, 4w, 1M")
    return text


def seconds_of(duration: str) -> int:
    """How long a duration is; a month counts 30 days where it rolls.

    >>> seconds_of("1M")
    2592000
    """
    found = _DURATION.fullmatch(duration)
    return int(found[1]) * _SECONDS[found[2]] if found else 0


OpenSloDuration = Annotated[str, AfterValidator(_check_duration)]
Operator = Literal["lte", "gte", "lt", "gt"]
Labels = dict[str, str | list[str] | None]


class Metadata(Document):
    """Name and labels."""

    name: str = Field(pattern=NAME)
    displayName: str | None = None  # noqa: N815 - the name in the specification
    labels: Labels | None = None
    annotations: dict[str, str] | None = None


class MetricSource(Document):
    """Where a query of v1 is asked."""

    metricSourceRef: str | None = None  # noqa: N815 - the name in the specification
    type: str | None = None
    spec: dict[str, Any]


class DataSourceSpec(Document):
    """A data source of v2alpha, written where it is used."""

    description: str | None = None
    type: str
    connectionDetails: dict[str, Any] | None = None  # noqa: N815 - the name in the specification


class Metric(Document):
    """One query: v1 has ``metricSource``, v2alpha the other three."""

    metricSource: MetricSource | None = None  # noqa: N815 - the name in the specification
    dataSourceRef: str | None = None  # noqa: N815 - the name in the specification
    dataSourceSpec: DataSourceSpec | None = None  # noqa: N815 - the name in the specification
    spec: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = (self.metricSource, self.dataSourceRef, self.dataSourceSpec)
        if sum(one is not None for one in given) != 1:
            raise UsageError(
                "a metric has exactly one source", hint="write metricSource (v1), dataSourceRef or dataSourceSpec (v2alpha)"
            )
        if (self.spec is None) == (self.metricSource is None):
            raise UsageError("the query of a metric stands in its spec", hint="write spec: {query: ...}")
        return self

    @property
    def server(self) -> str | None:
        """The name of the data source."""
        return self.dataSourceRef if self.metricSource is None else self.metricSource.metricSourceRef

    @property
    def type(self) -> str | None:
        """What kind of data source."""
        if self.metricSource is not None:
            return self.metricSource.type
        return None if self.dataSourceSpec is None else self.dataSourceSpec.type

    @property
    def given(self) -> dict[str, Any]:
        """What the data source is asked."""
        return (self.spec if self.metricSource is None else self.metricSource.spec) or {}

    @property
    def query(self) -> str | None:
        """The query, where there is one."""
        query = self.given.get("query")
        return query if isinstance(query, str) and query.strip() else None
