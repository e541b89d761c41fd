"""``ha.dr_failover``: a site is lost; it is fenced, or a person vouches that it is dead, and another site takes over."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from dbre.capabilities.ha.disaster.acting import keep, prove_everywhere
from dbre.capabilities.ha.disaster.attesting import see_no_process, silent_instances
from dbre.capabilities.ha.disaster.documents import SiteFailoverInput
from dbre.capabilities.ha.disaster.ground import DisasterGround
from dbre.capabilities.ha.disaster.losing import (
    fence_step,
    lost_reasons,
    lost_seconds,
    peer_obstacle,
    plan_for,
)
from dbre.capabilities.ha.disaster.measures import Action
from dbre.capabilities.ha.disaster.plan_document import SiteDocument
from dbre.capabilities.ha.disaster.surveying import LOOKING
from dbre.capabilities.ha.failover.document import FailoverInput
from dbre.capabilities.ha.failover.fences import ladder_of, see_fenced
from dbre.capabilities.ha.failover.operation import FailOver
from dbre.capabilities.ha.failover.situation import instance_of
from dbre.capabilities.ha.failover.surveying import Survey
from dbre.capabilities.ha.fencing.ladder import acted_of, climb, standing
from dbre.capabilities.ha.fencing.rung import FenceFailed
from dbre.core.errors import UsageError
from dbre.core.fleet import Instance
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import Verification, step
from dbre.core.operation.plan import Plan
from dbre.ports.succession import Obstacle

__all__ = ["FailSiteOver"]

_ATTESTED = "attested"


class FailSiteOver(FailOver):
    """The failover of a cluster, with the whole site of its primary in place of one instance."""

    kind, version = "ha.dr_failover", 1
    document = SiteFailoverInput

    def __init__(self, ground: DisasterGround) -> None:
        super().__init__(ground.failovers)
        self._disaster = ground

    async def plan(self, context: PlanContext, asked: FailoverInput) -> Plan:
        """As a failover; the site takes the place of the instance. Raises: FailoverRefused, NoPlan, UsageError."""
        wanted = SiteFailoverInput.model_validate(asked.model_dump())
        if wanted.automatic:
            raise UsageError("a site is never failed over by itself", hint="two sites cannot tell which of them is cut off")
        made = await super().plan(context, wanted)
        primary = str(made.observed["primary"])
        return plan_for(made, wanted, self._site(wanted.cluster, primary), primary)

    async def survey(self, asked: FailoverInput) -> Survey:
        """What speaks for and against it: every instance of the site has to be silent."""
        wanted = SiteFailoverInput.model_validate(asked.model_dump())
        found = await self.look(wanted)
        site = self._site(wanted.cluster, found.situation.primary.name)
        plan = self._disaster.plan_of(found.situation.cluster)
        reasons = lost_reasons(found, site, wanted, is_attestation_allowed=plan.attestation)
        if wanted.attested_by is None:
            reasons = (*reasons, *await self._peers(found, site))
        return replace(found, decision=replace(found.decision, reasons=reasons))

    def asked_again(self, context: StepContext) -> FailoverInput:
        """With the word of who attested it."""
        asked = super().asked_again(context).model_dump()
        return SiteFailoverInput.model_validate(asked | {key: context.input[key] for key in ("attested_by", "attested")})

    @step(timeout_seconds=120.0, idempotent=True)
    async def confirm(self, context: StepContext) -> Mapping[str, Any]:
        """Listen and look again, at every instance of the site. Raises: FailoverRefused, PlanChanged."""
        began, primary = context.clock.now(), self._named(context, "primary").name
        found = await FailOver.confirm.work(self, context) or {}
        peers = [one for one in self._site(self._cluster(context).name, primary).instances if one != primary]
        return {
            **found,
            "standing_of": {one: await self._standing(context, one) for one in peers} | {primary: found["standing"]},
            "began_at": began.isoformat(),
        }

    async def _standing(self, context: StepContext, name: str) -> Mapping[str, bool]:
        cluster = self._cluster(context)
        return await standing((await ladder_of(self._ground, cluster, instance_of(cluster, name), fence_id=LOOKING)).rungs)

    @step(timeout_seconds=900.0, idempotent=True)
    async def fence(self, context: StepContext) -> Mapping[str, Any]:
        """Rung after rung; where none is confirmed, a person's word if there is one. Raises: FenceFailed."""
        return await self._fenced(context, self._named(context, "primary"))

    @step(timeout_seconds=900.0, idempotent=True)
    async def fence_peer(self, context: StepContext) -> Mapping[str, Any]:
        """The same for another instance of the site: nobody there may be promoted by whoever is cut off with it."""
        return await self._fenced(context, self._named(context, "instance"))

    @step(timeout_seconds=300.0, idempotent=True)
    async def unfence_peer(self, context: StepContext) -> Mapping[str, Any]:
        """Nothing was promoted: what this operation stopped or cut off comes back."""
        peer = self._named(context, "instance")
        acted = acted_of(context.result, _stood(context, peer))
        if not acted:
            return {"released": None, "left": []}
        ladder = await ladder_of(self._ground, self._cluster(context), peer, fence_id=fence_step(context))
        done = {name: await ladder.rung(name, peer.name).release() for name in reversed(acted)}
        left = [name for name, told in done.items() if told is None]
        for name in left:
            await context.note(f"{name}: what it may have done to {peer.name} stays as it is; a person takes it back")
        return {"released": "; ".join(told for told in done.values() if told is not None) or None, "left": left}

    @step(timeout_seconds=900.0, idempotent=True)
    async def prove(self, context: StepContext) -> Mapping[str, Any]:
        """Write to the new primary and read back; keep what was promised and what was measured."""
        ground, cluster, results = self._disaster, self._cluster(context), context.results
        old, new = self._named(context, "primary"), self._named(context, "candidate")
        proved = await prove_everywhere(ground, cluster, ground.plan_of(cluster), new)
        began = datetime.fromisoformat(results["confirm"]["began_at"])
        took = (datetime.fromisoformat(proved["proved_at"]) - began).total_seconds()
        assessed = results["assess"]
        run = await keep(
            ground,
            context,
            cluster,
            Action.FAILOVER,
            began_at=began,
            primaries=(old.name, new.name),
            checks=proved["checks"],
            lost_bytes=assessed["lost_bytes"],
            lost_transactions=assessed["lost_transactions"],
            lost_seconds=lost_seconds(results["confirm"], assessed),
            loss=assessed["loss"],
            achieved_rto_seconds=round(max(took, 0.0), 3),
            write_seconds=proved["write_seconds"],
            attested_by=context.input["attested_by"],
            attested=context.input["attested"],
        )
        return {"run": run, "checks": proved["checks"]}

    @step(timeout_seconds=86_460.0, idempotent=True)
    async def assess(self, context: StepContext) -> Mapping[str, Any]:
        """What the candidate lacks, and how old its newest heartbeat is."""
        found = await FailOver.assess.work(self, context) or {}
        cluster, candidate = self._cluster(context), self._named(context, "candidate")
        async with self._server(cluster, candidate, context.application_name) as server:
            stamp = (await server.topology.view(heartbeat=cluster.name)).heartbeat
        return {**found, "heartbeat_at": stamp.written_at.isoformat() if stamp is not None else None}

    async def verify(self, context: StepContext) -> Sequence[Verification]:
        """As after any failover; where a person vouched, that nobody of the site answers."""
        found = await super().verify(context)
        if context.results["fence"]["rung"] != _ATTESTED:
            return found
        old = instance_of(self._cluster(context), context.plan.steps[0].input["primary"])
        subject = f"{old.name}: fenced"
        return [*(one for one in found if one.subject != subject), await self._vouched(context, old, subject=subject)]

    async def _see_fenced(self, context: StepContext) -> None:
        """Every instance of the site, once more before the promotion. Raises: FenceFailed."""
        cluster, results = self._cluster(context), context.results
        for name, done in results.items():
            if name.partition(":")[0] not in ("fence", "fence-peer"):
                continue
            instance = instance_of(cluster, done["instance"])
            if done["rung"] == _ATTESTED:
                said = await self._vouched(context, instance, subject=instance.name)
                if not said.holds:
                    raise FenceFailed(
                        f"{instance.name} answers, and was said to be dead: {said.detail}",
                        hint="the site lives: dbre ha dr switch",
                    )
            else:
                await see_fenced(self._ground, cluster, instance, rung=done["rung"], fence_id=fence_step(context))

    async def _vouched(self, context: StepContext, instance: Instance, *, subject: str) -> Verification:
        alive = await silent_instances(self._ground, self._cluster(context), (instance,))
        who = context.plan.observed["attested_by"]
        words = f"{who} vouches that it is dead; it {'answers' if not alive else 'does not answer'}"
        return Verification(subject=subject, holds=bool(alive), detail=words)

    async def _fenced(self, context: StepContext, instance: Instance) -> Mapping[str, Any]:
        ladder = await ladder_of(self._ground, self._cluster(context), instance, fence_id=fence_step(context))
        try:
            before = _stood(context, instance)
            fenced = await climb(ladder.rungs, subject=instance.name, clock=context.clock, note=context.note, before=before)
        except FenceFailed as error:
            who, how = context.plan.observed["attested_by"], context.plan.observed["attested"]
            if who is None:
                raise
            await see_no_process(self._ground, self._cluster(context), instance, word_of=who, after=error)
            seen = f"{who} vouches that it is dead: {how}"
            await context.note(f"{instance.name}: no fence held; {seen}")
            return {"rung": _ATTESTED, "done": "nothing", "is_ours": False, "seen": seen, "instance": instance.name}
        return fenced.as_document() | {"instance": instance.name}

    async def _peers(self, found: Survey, site: SiteDocument) -> list[Obstacle]:
        """Whether the others of the site can be fenced."""
        cluster, primary = found.situation.cluster, found.situation.primary.name
        peers = [one for one in site.instances if one != primary]
        ladders = [await ladder_of(self._ground, cluster, instance_of(cluster, one), fence_id=LOOKING) for one in peers]
        return [peer_obstacle(name, ladder) for name, ladder in zip(peers, ladders, strict=True)]

    def _site(self, cluster: str, primary: str) -> SiteDocument:
        found = self._disaster.plan_of(self._disaster.fleet.cluster(cluster)).site_of(primary)
        assert found is not None  # noqa: S101 - the plan was compared with the inventory
        return found


def _stood(context: StepContext, instance: Instance) -> Mapping[str, bool]:
    """What there was of an instance to be stopped or cut off before any fence acted."""
    found: Mapping[str, Mapping[str, bool]] = context.results["confirm"].get("standing_of", {})
    return found.get(instance.name, {})
