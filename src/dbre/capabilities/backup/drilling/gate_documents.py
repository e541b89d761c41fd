"""The section ``proven_restore_policies`` of ``dbre.yaml``: which changes wait for a proven restore."""

from typing import Literal

from pydantic import Field

from dbre.capabilities.backup.drilling.gate import ProofPolicy
from dbre.core.config import Document, Duration, Section
from dbre.core.gates.document import KindPatterns, SelectorLabels, Tag
from dbre.core.gates.model import GateVerdict
from dbre.core.gates.scope import EXEMPT_TAGS, Scope
from dbre.core.operation.plan import Risk
from dbre.core.selector import Selector

__all__ = ["PROVEN_RESTORE_POLICIES", "ProofPolicyDocument", "proof_policies"]

_NAME = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"


class ProofPolicyDocument(Document):
    """Which operations wait until a restore of the target was proved, and how old the proof may be."""

    name: str = Field(pattern=_NAME, description="Lower-case letters, digits and hyphens, at most 63")
    selector: SelectorLabels = Field(default_factory=dict, description="Which clusters: label to value or list; default: all")
    kinds: KindPatterns | None = Field(default=None, description="Kinds of operation, with * and ?; default: by risk alone")
    risk: Literal["mild", "moderate", "severe"] = Field(
        default="severe", description="From which risk on; without effect where kinds are given"
    )
    exempt: tuple[Tag, ...] = Field(default=EXEMPT_TAGS, alias="except", description="Tags of plans that are exempt")
    max_age: Duration | None = Field(default=None, description="Default: drill.proof_age of the cluster's backup policy")
    then: Literal["hold", "refuse"] = Field(default="hold", description="What happens without such a proof")


def proof_policies(documents: tuple[ProofPolicyDocument, ...]) -> tuple[ProofPolicy, ...]:
    """The policies of the documents."""
    return tuple(
        ProofPolicy(
            name=one.name,
            scope=Scope(kinds=one.kinds, risk=Risk(one.risk), selector=Selector.of(one.selector), exempt=one.exempt),
            max_age=one.max_age,
            then=GateVerdict(one.then),
        )
        for one in documents
    )


PROVEN_RESTORE_POLICIES: Section[tuple[ProofPolicyDocument, ...]] = Section(
    key="proven_restore_policies",
    shape=tuple[ProofPolicyDocument, ...],
    default=tuple,
    summary="Which changes wait until a restore of their target was proved.",
)
