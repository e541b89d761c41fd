"""``ha.rescue``: Patroni itself fails over, because it was asked to: its leader serves nobody, and waits for its server.

Such a Patroni holds its lease for as long as ``primary_start_timeout`` lets it, 5 minutes by default. Nobody else may touch
that lease; asked for a failover, it steps down and lets the candidate take over at once. What it answers is never taken for
what happened: the cluster is asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dbre.capabilities.ha.client_view import routes_lead
from dbre.capabilities.ha.failover.document import FailoverInput
from dbre.capabilities.ha.failover.release import ReleaseLease, leader_apis
from dbre.capabilities.ha.failover.rescue_checks import kept_reasons, rescue_reasons
from dbre.capabilities.ha.failover.situation import instance_of
from dbre.capabilities.ha.failover.surveying import RESCUE, Survey, refuse
from dbre.capabilities.ha.failover.verifying import verify_new_primary
from dbre.capabilities.ha.patroni.access import access_of
from dbre.capabilities.ha.patroni.hand_over import PatroniRescue
from dbre.capabilities.ha.patroni.word import PatroniWord, read_word
from dbre.core.errors import UsageError
from dbre.core.fleet import Instance
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import NotHappened, OutcomeUnknown, Verification, step
from dbre.core.operation.plan import Change, LockMode, Plan, Risk, Step
from dbre.tools.patroni import NodeState, living

__all__ = ["Rescue"]

_HAPPENS_WITHIN_SECONDS = 120.0
_PATIENCE_SECONDS = 3.0


class Rescue(ReleaseLease):
    """The failover that Patroni does on request."""

    kind, version = RESCUE, 1

    async def plan(self, context: PlanContext, asked: FailoverInput) -> Plan:  # noqa: ARG002 - as ReleaseLease
        """Look, ask Patroni and etcd, choose. Raises: FailoverRefused; UsageError where etcd is not known."""
        if asked.automatic:
            raise UsageError("Patroni is asked for a failover by people alone", hint="by itself it decides as it is set up")
        found, _ = await self._survey(asked)
        refuse(found)
        cluster, primary, best = found.situation.cluster, found.situation.primary.name, found.decision.ranked.best
        assert best is not None  # noqa: S101 - else the rule "candidate" is against it
        who = {"primary": primary, "candidate": best.name}
        held = {"accept_loss": asked.accept_loss, "automatic": False}
        summary = f"see again that {primary} serves nobody, that its Patroni lives, and that {best.name} may lead"
        steps = [
            Step("confirm", summary=summary, input=who | held),
            Step(
                "ask",
                summary=f"ask Patroni for a failover to {best.name}, and see what came of it",
                input=who,
                irreversible=True,
            ),
        ]
        routes = [one.name for one in self._ground.routes(cluster)]
        if routes:
            summary = f"lead clients to {best.name} by {', '.join(routes)}"
            steps.append(Step("turn-routes", summary=summary, input=who | {"before": dict.fromkeys(routes)}))
        is_within = found.decision.loss.is_zero_promised or not asked.accept_loss
        return Plan(
            target=f"cluster/{cluster.name}",
            summary=f"have Patroni fail {cluster.name} over from {primary} to {best.name}; loses {found.decision.loss.text}",
            steps=tuple(steps),
            risk=Risk.SEVERE,
            lock=LockMode.RESCUE,
            changes=(
                Change(subject=f"{primary}: role", before="leader", after="replica"),
                Change(subject=f"{best.name}: role", before="replica", after="leader"),
            ),
            blast_radius=(f"Patroni stops {primary}, whatever it is doing, and takes it in again as a replica",),
            observed={"primary": primary, "candidate": best.name},
            tags=("failover",) if is_within else (),
        )

    async def _survey(self, asked: FailoverInput) -> tuple[Survey, PatroniWord]:
        cluster = self._ground.fleet.cluster(asked.cluster)
        document = self._document(cluster)
        word = await read_word(document, self._ground.fleet, cluster, self._ground.clock)
        leader = word.instance_of(word.leader) if word.leader is not None else None
        known = leader if any(one.name == leader for one in cluster.instances) else None
        found = await self.look(asked.model_copy(update={"primary": asked.primary or known}), is_release=True)
        alive = await living(access_of(document), document.urls, timeout_seconds=_PATIENCE_SECONDS)
        situation, best = found.situation, found.decision.ranked.best
        own = rescue_reasons(
            word,
            situation.primary.name,
            best.name if best is not None else None,
            situation.contact,
            sign=_answer(word, leader_apis(document, word), alive),
        )
        reasons = (*own, *kept_reasons(found.decision.reasons))
        return replace(found, decision=replace(found.decision, reasons=reasons)), word

    @step(timeout_seconds=_HAPPENS_WITHIN_SECONDS * 2, idempotent=False)
    async def ask(self, context: StepContext) -> Mapping[str, Any]:
        """Ask, and look until the candidate leads. Raises: PatroniRefused, and nothing happened; OutcomeUnknown."""
        cluster, begun = self._cluster(context), context.clock.monotonic()
        old, new = self._named(context, "primary"), self._named(context, "candidate")
        await self._rescue(context).run(cluster, old, new, limit_seconds=_HAPPENS_WITHIN_SECONDS)
        return {"candidate": new.name, "seconds": round(context.clock.monotonic() - begun, 3)}

    @ask.probe
    async def _(self, context: StepContext) -> Mapping[str, Any]:
        """Whether the candidate leads."""
        new = self._named(context, "candidate")
        found = await self._rescue(context).has_happened(self._cluster(context), self._named(context, "primary"), new)
        if found is None:
            raise OutcomeUnknown(f"nobody leads yet, or a request is under way; {new.name} may become the leader")
        if not found:
            raise NotHappened(f"{new.name} does not lead, and no request is under way")
        return {"candidate": new.name, "seconds": None}

    async def verify(self, context: StepContext) -> Sequence[Verification]:
        """The candidate alone takes writes, by its own word, a client's and Patroni's; routes lead there."""
        cluster, new = self._cluster(context), self.new_primary(context)
        found = await verify_new_primary(self._ground, cluster, context, new)
        return [*found, *await routes_lead(self._ground.routes(cluster), new.address)]

    def new_primary(self, context: StepContext) -> Instance:
        """Who was asked for."""
        return instance_of(self._cluster(context), context.plan.steps[0].input["candidate"])

    def _rescue(self, context: StepContext) -> PatroniRescue:
        return PatroniRescue(self._document(self._cluster(context)), self._ground.fleet, self._ground.clock)


def _answer(word: PatroniWord, apis: Sequence[str], alive: Sequence[str]) -> str | None:
    """What the leader's Patroni said; a process of it that is seen to run and says nothing will not step down."""
    if any(isinstance(one, NodeState) and one.name == word.leader for one in word.nodes):
        return "Patroni answers there"
    return "Patroni answers there, and waits for its server" if any(one in alive for one in apis) else None
