"""OpenSLO's alert policies and conditions."""

from decimal import Decimal
from typing import Any, Literal

from pydantic import Field

from dbre.capabilities.slo.interop.openslo_basics import Metadata, OpenSloDuration, Operator
from dbre.core.config import Document

__all__ = ["AlertCondition", "AlertPolicy", "ConditionRef", "PolicyRef"]


class Condition(Document):
    """When an alert fires."""

    kind: Literal["burnrate"]
    op: Operator
    threshold: Decimal = Field(gt=0)
    lookbackWindow: OpenSloDuration  # noqa: N815 - the name in the specification
    alertAfter: str | None = None  # noqa: N815 - the name in the specification


class AlertConditionSpec(Document):
    """One condition with its severity."""

    description: str | None = Field(None, max_length=1050)
    severity: str
    condition: Condition


class AlertCondition(Document):
    """A condition, inline or as an object of its own."""

    apiVersion: str | None = None  # noqa: N815 - the name in the specification
    kind: Literal["AlertCondition"] = "AlertCondition"
    metadata: Metadata
    spec: AlertConditionSpec


class ConditionRef(Document):
    """A condition that stands elsewhere."""

    conditionRef: str  # noqa: N815 - the name in the specification


class AlertPolicySpec(Document):
    """Conditions, and who is told."""

    description: str | None = Field(None, max_length=1050)
    alertWhenNoData: bool | None = None  # noqa: N815 - the name in the specification
    alertWhenResolved: bool | None = None  # noqa: N815 - the name in the specification
    alertWhenBreaching: bool | None = None  # noqa: N815 - the name in the specification
    conditions: list[ConditionRef | AlertCondition] = Field(min_length=1, max_length=1)
    notificationTargets: list[dict[str, Any]] = Field([])  # noqa: N815 - the name in the specification


class AlertPolicy(Document):
    """A policy, inline or as an object of its own."""

    apiVersion: str | None = None  # noqa: N815 - the name in the specification
    kind: Literal["AlertPolicy"] = "AlertPolicy"
    metadata: Metadata
    spec: AlertPolicySpec


class PolicyRef(Document):
    """A policy that stands elsewhere."""

    alertPolicyRef: str  # noqa: N815 - the name in the specification
