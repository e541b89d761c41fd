"""``chaos.rules`` of ``dbre.yaml``: what has to be so on a cluster before anything is broken there."""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from dbre.core.config import Document, Duration, Ratio, between
from dbre.core.gates.document import SelectorLabels
from dbre.core.selector import Selector

__all__ = ["DEFAULT_RULE", "ChaosRule", "rule_for"]

_NAME = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"


class ChaosRule(Document):
    """What has to be so on some clusters before an experiment begins."""

    name: str = Field(pattern=_NAME, description="Lower-case letters, digits and hyphens, at most 63")
    selector: SelectorLabels = Field(default_factory=dict, description="Which clusters: label to value or list; default: all")
    allowed: bool = Field(default=True, description="false: nothing is ever broken there")
    min_budget: Ratio = Field(default=Decimal("0.1"), description="So much of each error budget must be left")
    backup_needed: bool | None = Field(
        default=None, description="Whether there must be a fresh backup; default: where a backup policy selects the cluster"
    )
    backup_age: Annotated[Duration, between("1m", "90d")] = Field(
        default=timedelta(hours=48), description="The oldest that the newest backup may be"
    )
    proof_age: Annotated[Duration, between("1m", "365d")] = Field(
        default=timedelta(days=8), description="The oldest that the last proven restore may be"
    )
    incidents: bool = Field(default=False, description="true: experiments also begin while an incident is open")
    protected: tuple[str, ...] = Field(default=(), description="Instances to which nothing is done")
    connections: Ratio = Field(
        default=Decimal(1), description="At most so much of a server's places for clients is taken at a time"
    )
    min_healthy: int | None = Field(
        default=None,
        ge=0,
        le=100,
        description="Instances that must stay untouched and well; default: more than half of three and more",
    )


DEFAULT_RULE = ChaosRule(name="default")
"""What holds for a cluster that no rule selects."""


def rule_for(rules: tuple[ChaosRule, ...], labels: dict[str, str]) -> ChaosRule:
    """The first rule that selects a cluster with these labels."""
    return next((one for one in rules if Selector.of(one.selector).allows(labels)), DEFAULT_RULE)
