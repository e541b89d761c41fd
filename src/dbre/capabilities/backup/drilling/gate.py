"""The gate ``proven-restore``: what may lose data waits until a restore of the target was proved."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from dbre.core.gates.model import GateDecision, GateQuestion, GateVerdict
from dbre.core.gates.scope import Scope, is_urgent
from dbre.core.text import printable
from dbre.core.units import format_duration

if TYPE_CHECKING:
    from dbre.capabilities.backup.documents import PolicyDocument
    from dbre.core.store import Store

__all__ = ["PROVEN_RESTORE", "ProofPolicy", "ProvenRestoreGate"]

PROVEN_RESTORE = "proven-restore"
_DEFAULT_AGE = timedelta(days=8)
_OWN_KINDS = "backup."


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofPolicy:
    """Which operations need a proof, and how old it may be."""

    name: str
    scope: Scope
    max_age: timedelta | None  # None: what the backup policy of the cluster says
    then: GateVerdict = GateVerdict.HOLD


class ProvenRestoreGate:
    """Looks at the newest drill of the target's cluster that passed. Plans ask by naming it, policies without."""

    name = PROVEN_RESTORE
    summary = "a restore of the target was proved not long ago"
    asks_always = True

    def __init__(
        self,
        store: "Store | None",
        policies: Sequence[ProofPolicy],
        *,
        policy_of: "Callable[[str], PolicyDocument | None]",
    ) -> None:
        self._store = store
        self._policies = tuple(policies)
        self._policy_of = policy_of

    def fails_open(self, question: GateQuestion) -> bool:
        """For what reads or repairs, and for what needs no proof."""
        return is_urgent(question) or self._asked(question) is None

    async def decide(self, question: GateQuestion) -> GateDecision:
        """Allow with a proof that is young enough."""
        asked = self._asked(question)
        if asked is None:
            return self._decision(GateVerdict.ALLOW, f"{question.planned.kind} needs no proven restore")
        if question.cluster is None:
            return self._decision(GateVerdict.ALLOW, "the target is no cluster, so there is nothing to restore")
        if self._store is None:
            return self._decision(GateVerdict.HOLD, "drills are kept in a state store, and none is open here")
        return await self._judged(question, asked, question.cluster, self._store)

    async def _judged(self, question: GateQuestion, asked: ProofPolicy, cluster: str, store: "Store") -> GateDecision:
        from dbre.capabilities.backup.catalog.drills import newest_drill
        from dbre.capabilities.backup.model import DrillVerdict

        async with store.read() as connection:
            proof = await newest_drill(connection, cluster, verdicts=[DrillVerdict.PASS])
            latest = await newest_drill(connection, cluster)
        limit = self._limit(asked, cluster)
        shown = printable(cluster, limit=120)
        evidence: dict[str, object] = {
            "policy": asked.name,
            "max_age_seconds": limit.total_seconds(),
            "proof": str(proof.id) if proof else None,
            "proved_at": proof.ended_at.isoformat() if proof else None,
            "latest_verdict": latest.verdict.value if latest else None,
        }
        if proof is None:
            reason = f"no restore of {shown} was ever proved (policy {asked.name}): dbre backup drill {shown}"
            return self._decision(asked.then, reason, evidence)
        age = max((question.at - proof.ended_at).total_seconds(), 0.0)
        told = f"the last proven restore of {shown} is {format_duration(age)} old, the limit is"
        told += f" {format_duration(limit.total_seconds())} (policy {asked.name})"
        if latest is not None and latest.verdict is DrillVerdict.FAIL and latest.ended_at > proof.ended_at:
            reason = f"the last drill of {shown} failed: {printable(latest.reason, limit=200)} (policy {asked.name})"
            return self._decision(asked.then, reason, evidence)
        return self._decision(GateVerdict.ALLOW if age <= limit.total_seconds() else asked.then, told, evidence)

    def _limit(self, asked: ProofPolicy, cluster: str) -> timedelta:
        if asked.max_age is not None:
            return asked.max_age
        backup = self._policy_of(cluster)
        return backup.drill.proof_age if backup is not None else _DEFAULT_AGE

    def _asked(self, question: GateQuestion) -> ProofPolicy | None:
        """The policy that is about the operation; what makes or proves backups is never kept from it by want of a proof."""
        if PROVEN_RESTORE in question.planned.plan.gates:
            named = ProofPolicy(name="plan", scope=Scope(), max_age=None)
            return next((one for one in self._policies if one.scope.covers(question)), named)
        if question.planned.kind.startswith(_OWN_KINDS):
            return None
        return next((one for one in self._policies if one.scope.covers(question)), None)

    def _decision(self, verdict: GateVerdict, reason: str, evidence: dict[str, object] | None = None) -> GateDecision:
        return GateDecision(gate=self.name, verdict=verdict, reason=reason, evidence=evidence or {})
