"""The sections ``replica_lag_policies`` and ``redundancy_policies`` of ``dbre.yaml``."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from dbre.capabilities.ha.gates.policies import LagPolicy, RedundancyPolicy
from dbre.core.config import Document, Duration, Section, Size
from dbre.core.errors import UsageError
from dbre.core.gates.document import KindPatterns, SelectorLabels, Tag
from dbre.core.gates.model import GateVerdict
from dbre.core.gates.scope import EXEMPT_TAGS, Scope
from dbre.core.operation.plan import Risk
from dbre.core.selector import Selector

__all__ = [
    "REDUNDANCY_POLICIES",
    "REPLICA_LAG_POLICIES",
    "LagPolicyDocument",
    "RedundancyPolicyDocument",
    "lag_policies",
    "redundancy_policies",
]

_NAME = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"


class _PolicyDocument(Document):
    name: str = Field(pattern=_NAME, description="Lower-case letters, digits and hyphens, at most 63")
    selector: SelectorLabels = Field(default_factory=dict, description="Which clusters: label to value or list; default: all")
    kinds: KindPatterns | None = Field(default=None, description="Kinds of operation, with * and ?; default: by risk alone")
    risk: Literal["mild", "moderate", "severe"] = Field(
        default="moderate", description="From which risk on; without effect where kinds are given"
    )
    exempt: tuple[Tag, ...] = Field(default=EXEMPT_TAGS, alias="except", description="Tags of plans that are exempt")
    then: Literal["hold", "refuse"] = Field(default="hold", description="Hold waits until it is better, refuse ends it")
    running: Literal["finish", "hold"] = Field(
        default="finish", description="Operations that began before: let them finish, or pause them at their next step"
    )

    def _given(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "scope": Scope(kinds=self.kinds, risk=Risk(self.risk), selector=Selector.of(self.selector), exempt=self.exempt),
            "then": GateVerdict(self.then),
            "holds_running": self.running == "hold",
        }


class LagPolicyDocument(_PolicyDocument):
    """Which operations wait while a replica is how far behind."""

    max_lag: Size | None = Field(default=None, description="What a replica may lack of the log")
    max_lag_time: Duration | None = Field(default=None, description="How old that may be, as heartbeats tell")

    @model_validator(mode="after")
    def _limited(self) -> Self:
        if self.max_lag is None and self.max_lag_time is None:
            raise UsageError(f"policy {self.name} has no limit", hint="write max_lag: 64MiB, or max_lag_time: 30s, or both")
        return self

    def policy(self) -> LagPolicy:
        """The policy of the document."""
        return LagPolicy(**self._given(), max_bytes=self.max_lag, max_age=self.max_lag_time)


class RedundancyPolicyDocument(_PolicyDocument):
    """Which operations wait until how many replicas could take over."""

    min_replicas: int = Field(default=1, ge=1, le=100, description="Healthy replicas, without the instance that is worked on")

    def policy(self) -> RedundancyPolicy:
        """The policy of the document."""
        return RedundancyPolicy(**self._given(), least=self.min_replicas)


def lag_policies(documents: tuple[LagPolicyDocument, ...]) -> tuple[LagPolicy, ...]:
    """The policies of the documents."""
    return tuple(one.policy() for one in documents)


def redundancy_policies(documents: tuple[RedundancyPolicyDocument, ...]) -> tuple[RedundancyPolicy, ...]:
    """The policies of the documents."""
    return tuple(one.policy() for one in documents)


REPLICA_LAG_POLICIES: Section[tuple[LagPolicyDocument, ...]] = Section(
    key="replica_lag_policies",
    shape=tuple[LagPolicyDocument, ...],
    default=tuple,
    summary="Which changes wait while the replicas of their target are far behind.",
)
REDUNDANCY_POLICIES: Section[tuple[RedundancyPolicyDocument, ...]] = Section(
    key="redundancy_policies",
    shape=tuple[RedundancyPolicyDocument, ...],
    default=tuple,
    summary="Which changes wait until enough replicas of their target could take over.",
)
