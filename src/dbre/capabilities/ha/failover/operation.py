"""``ha.failover``: from a dead primary to another one, fenced before, verified after; or nothing happens."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from dbre.capabilities.ha.failover.candidates import Candidate, LastWord, Loss, loss_of
from dbre.capabilities.ha.failover.deciding import Asked
from dbre.capabilities.ha.failover.document import FailoverInput
from dbre.capabilities.ha.failover.drain_forecast import drain_reason, forecast_drain
from dbre.capabilities.ha.failover.draining import Drained, drain, missing_transactions
from dbre.capabilities.ha.failover.failover_plan import PROMOTE_SECONDS, plan_of
from dbre.capabilities.ha.failover.fences import ladder_of, see_fenced
from dbre.capabilities.ha.failover.ground import FailoverGround
from dbre.capabilities.ha.failover.situation import instance_of
from dbre.capabilities.ha.failover.surveying import KIND, FailoverRefused, Survey, refuse, survey
from dbre.capabilities.ha.failover.verifying import verify_failover
from dbre.capabilities.ha.fencing.ladder import acted_of, climb, standing
from dbre.capabilities.ha.promoting import promote
from dbre.capabilities.ha.route.turning import lead_all
from dbre.core.errors import DbreError, UsageError
from dbre.core.fleet import Cluster, Instance
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import Operation, OutcomeUnknown, Verification, step
from dbre.core.operation.errors import PlanChanged
from dbre.core.operation.plan import Plan
from dbre.core.secrets import prepare_secrets
from dbre.core.text import counted, printable
from dbre.ports.engine import Access, Server, Timeouts
from dbre.ports.route import Route, RouteState
from dbre.ports.session import Role
from dbre.ports.succession import Following, GivesUp, Manner
from dbre.ports.topology import LogPosition

__all__ = ["FailOver"]

_PLANNING = "plan"
_FOLLOW_SECONDS = 30.0
_LONGEST_DRAIN_SECONDS = 86_400.0 + 60.0


class FailOver(Operation[FailoverInput]):
    """Unplanned change of primary. Until ``promote`` everything is taken back; after it the way leads forward only."""

    kind, version = KIND, 1
    document = FailoverInput

    def __init__(self, ground: FailoverGround) -> None:
        self._ground = ground

    async def plan(self, context: PlanContext, asked: FailoverInput) -> Plan:  # noqa: ARG002 - sweeps name themselves
        """Look, listen, decide. Raises: FailoverRefused with every reason against it; UsageError for unknown names."""
        cluster = self._ground.fleet.cluster(asked.cluster)
        found = await self.survey(asked)
        refuse(found)
        chosen = found.decision.ranked.best
        assert chosen is not None  # noqa: S101 - else the rule "candidate" is against it
        async with self._server(cluster, instance_of(cluster, chosen.name), "dbre:failover") as server:
            standing = await server.succession.standing()
        routes = {one.name: await _state_of(one) for one in self._ground.routes(cluster)}
        can_bar = standing.gives_up is GivesUp.BY_STOPPING and any(one.name == "control" for one in found.ladder.rungs)
        return plan_of(asked, found, chosen, can_bar=can_bar, routes=routes)

    async def survey(self, asked: FailoverInput) -> Survey:
        """Everything for and against it, as it is now, and how long the candidate will be applying what it has."""
        found = await self.look(asked)
        best, cluster = found.decision.ranked.best, found.situation.cluster
        node = found.situation.topology.node(best.name) if best is not None else None
        if node is None or node.view is None or not missing_transactions(node.view):
            return found
        async with self._server(cluster, node.instance, "dbre:failover") as server:
            forecast = await forecast_drain(server, self._ground.clock)
        limit = self._ground.failover_of(cluster.name).drain.total_seconds()
        reasons = (*found.decision.reasons, drain_reason(node.name, forecast, limit_seconds=limit))
        return replace(found, drain=forecast, decision=replace(found.decision, reasons=reasons))

    async def look(self, asked: FailoverInput, *, is_release: bool = False) -> Survey:
        """What the servers and the observers say. Raises: UsageError for names that cannot be."""
        cluster = self._ground.fleet.cluster(asked.cluster)
        for name in (asked.to, asked.primary):
            if name is not None:
                instance_of(cluster, name)
        if asked.to is not None and asked.to == asked.primary:
            raise UsageError(f"{asked.to} cannot take over from itself")
        await prepare_secrets([cluster.password])
        wanted = Asked(is_automatic=asked.automatic, to=asked.to, accepts_loss=asked.accept_loss, is_release=is_release)
        return await survey(self._ground, cluster, wanted, primary=asked.primary, fence_id=_PLANNING)

    @step(timeout_seconds=120.0, idempotent=True)
    async def confirm(self, context: StepContext) -> Mapping[str, Any]:
        """Listen and look again: only what is so now counts. Raises: FailoverRefused, PlanChanged."""
        given = context.input
        asked = self.asked_again(context)
        found = await self.survey(asked)
        refuse(found)
        situation, chosen = found.situation, found.decision.ranked.best
        if chosen is None or given["candidate"] not in (None, chosen.name):
            raise PlanChanged(f"{given['candidate']} may not take over any more", hint="plan again")
        weighed = situation.weighing
        return {
            "verdicts": [one.value for one in (weighed.judgement if weighed is not None else situation.own).verdicts],
            "observers": {name: one.value for name, one in weighed.contacts.items()} if weighed is not None else {},
            "notes": dict(weighed.notes) if weighed is not None else {},
            "unheard_seconds": weighed.unheard_seconds if weighed is not None else None,
            "here": situation.contact.value,
            "last": _last_document(situation.last),
            "is_zero_promised": found.decision.loss.is_zero_promised,
            "loss": found.decision.loss.text,
            "reasons": {one.rule: one.value for one in found.decision.reasons},
            "standing": await standing(found.ladder.rungs),
        }

    def asked_again(self, context: StepContext) -> FailoverInput:
        """What was asked, with what the plan chose."""
        given = context.input
        return FailoverInput(
            cluster=self._cluster(context).name,
            to=given["candidate"],
            primary=given["primary"],
            accept_loss=given["accept_loss"],
            automatic=given["automatic"],
        )

    @step(timeout_seconds=900.0, idempotent=True)
    async def fence(self, context: StepContext) -> Mapping[str, Any]:
        """Rung after rung, until one is confirmed. Raises: FenceFailed; then nothing is promoted."""
        cluster, primary = self._cluster(context), self._named(context, "primary")
        ladder = await ladder_of(self._ground, cluster, primary, fence_id=_fence_id(context))
        before = context.results["confirm"].get("standing")
        fenced = await climb(ladder.rungs, subject=primary.name, clock=context.clock, note=context.note, before=before)
        return fenced.as_document() | {"instance": primary.name}

    @step(timeout_seconds=300.0, idempotent=True)
    async def unfence(self, context: StepContext) -> Mapping[str, Any]:
        """Nothing was promoted: what this operation stopped or cut off comes back as what it was."""
        acted = acted_of(context.result, context.results["confirm"].get("standing"))
        if not acted:
            return {"released": None, "left": []}
        cluster, primary = self._cluster(context), self._named(context, "primary")
        ladder = await ladder_of(self._ground, cluster, primary, fence_id=_fence_id(context))
        done = {name: await ladder.rung(name, primary.name).release() for name in reversed(acted)}
        left = [name for name, told in done.items() if told is None]
        for name in left:
            await context.note(f"{name}: what it may have done to {primary.name} stays as it is; a person takes it back")
        return {"released": "; ".join(told for told in done.values() if told is not None) or None, "left": left}

    @step(timeout_seconds=60.0, idempotent=True)
    async def bar(self, context: StepContext) -> Mapping[str, Any]:
        """A start of the old primary by anybody must not make a second one."""
        cluster, primary = self._cluster(context), self._named(context, "primary")
        candidate = self._named(context, "candidate")
        async with self._server(cluster, candidate, context.application_name) as server:
            manner = await server.succession.manner()
        following = self._following(cluster, primary, candidate, like=manner)
        await self._ground.host(cluster, primary).bar(following)
        return {"instance": primary.name}

    @step(timeout_seconds=60.0, idempotent=True)
    async def unbar(self, context: StepContext) -> Mapping[str, Any]:
        """It may be a primary again."""
        primary = self._named(context, "primary")
        await self._ground.host(self._cluster(context), primary).unbar()
        return {"instance": primary.name}

    @step(timeout_seconds=_LONGEST_DRAIN_SECONDS, idempotent=True)
    async def assess(self, context: StepContext) -> Mapping[str, Any]:
        """What the candidate has is applied; what it lacks is counted, and may not be more than is allowed."""
        cluster, candidate = self._cluster(context), self._named(context, "candidate")
        settings = self._ground.failover_of(cluster.name)
        async with self._server(cluster, candidate, context.application_name) as server:
            drained = await drain(server, context, limit_seconds=settings.drain.total_seconds())
        confirmed = context.results["confirm"]
        loss = _loss(candidate, drained, confirmed)
        is_within = loss.is_within(max_bytes=settings.max_loss, max_transactions=settings.max_lost_transactions)
        if is_within is not True and not (context.input["accept_loss"] and not context.input["automatic"]):
            raise FailoverRefused(
                f"promoting {candidate.name} would lose {loss.text}",
                hint="raise failover: max_loss, or decide by hand: --accept-loss",
            )
        await context.note(f"{candidate.name} applied {drained.waiting} in {drained.seconds:.1f} s; lost: {loss.text}")
        return drained.as_document() | {"lost_bytes": loss.bytes, "lost_transactions": loss.transactions, "loss": loss.text}

    @step(timeout_seconds=PROMOTE_SECONDS, idempotent=True)
    async def promote(self, context: StepContext) -> Mapping[str, Any]:
        """Make the candidate the primary, if the old one is fenced still. Raises: FenceFailed; then nothing is promoted."""
        cluster, candidate = self._cluster(context), self._named(context, "candidate")
        await self._see_fenced(context)
        begun = context.clock.monotonic()
        async with self._server(cluster, candidate, context.application_name) as server:
            await promote(server, candidate.name, limit_seconds=PROMOTE_SECONDS / 2)
            return await _promoted(server, context.clock.monotonic() - begun)

    @promote.probe
    async def _(self, context: StepContext) -> Mapping[str, Any]:
        """Whether it is a primary that takes writes already."""
        cluster, candidate = self._cluster(context), self._named(context, "candidate")
        async with self._server(cluster, candidate, context.application_name) as server:
            found = await _promoted(server, None)
        if not found["is_writable"]:
            raise OutcomeUnknown(f"{candidate.name} is no primary that takes writes, and may become one yet")
        return found

    @step(timeout_seconds=300.0, idempotent=True)
    async def turn_routes(self, context: StepContext) -> Mapping[str, Any]:
        """Lead clients to the new primary; those that wait for the dead one get an error now, and come back."""
        cluster, told = self._cluster(context), context.input["before"]
        routes = [one for one in self._ground.routes(cluster) if one.name in told]
        gone = set(told) - {one.name for one in routes}
        if gone:
            raise UsageError(f"cluster {cluster.name} has no route {', '.join(sorted(gone))} any more")
        before = {name: RouteState.from_document(one) if one is not None else None for name, one in told.items()}
        address = self.new_primary(context).address
        ended = await lead_all(routes, address, before=before)
        for name, count in ended.items():
            if count:
                await context.note(f"{name}: {counted(count, 'connection')} still went elsewhere, and ended")
        return {"to": str(address), "ended": ended}

    @step(timeout_seconds=_FOLLOW_SECONDS * 3, idempotent=True, attempts=3)
    async def follow(self, context: StepContext) -> Mapping[str, Any]:
        """Let another replica follow the new primary; that it does not is told by the verification, and stops nobody."""
        cluster = self._cluster(context)
        candidate, follower = self._named(context, "candidate"), self._named(context, "follower")
        try:
            async with (
                self._server(cluster, follower, context.application_name) as server,
                self._server(cluster, candidate, context.application_name) as upstream,
            ):
                manner = await server.succession.manner()
                if manner is not None and manner.slot is not None:
                    await upstream.succession.keep_log_for(manner.slot)
                slot = manner.slot if manner is not None else None
                following = replace(self._following(cluster, follower, candidate, like=manner), slot=slot)
                await server.succession.follow(following, limit_seconds=_FOLLOW_SECONDS)
        except DbreError as error:
            await context.note(f"{follower.name} does not follow {candidate.name}: {error.message}")
            return {"instance": follower.name, "is_following": False, "error": printable(error.message)}
        return {"instance": follower.name, "is_following": True}

    async def verify(self, context: StepContext) -> Sequence[Verification]:
        """The new primary takes writes, the old one still cannot, the others follow, clients are led there."""
        old = instance_of(self._cluster(context), context.plan.steps[0].input["primary"])
        return await verify_failover(
            self._ground, self._cluster(context), context, old=old, new=self.new_primary(context), fence_id=_fence_id(context)
        )

    async def _see_fenced(self, context: StepContext) -> None:
        """Between the fence and the promotion was time in which somebody may have started the old primary again."""
        old, rung = self._named(context, "primary"), context.results["fence"]["rung"]
        await see_fenced(self._ground, self._cluster(context), old, rung=rung, fence_id=_fence_id(context))

    def new_primary(self, context: StepContext) -> Instance:
        """Who is promoted, or was."""
        return instance_of(self._cluster(context), context.plan.steps[0].input["candidate"])

    def _cluster(self, context: StepContext) -> Cluster:
        return self._ground.fleet.cluster(context.plan.target.rpartition("/")[2])

    def _named(self, context: StepContext, key: str) -> Instance:
        return instance_of(self._cluster(context), context.input[key])

    def _following(self, cluster: Cluster, follower: Instance, upstream: Instance, *, like: Manner | None) -> Following:
        return Following(
            upstream=upstream.address,
            name=follower.name,
            user=cluster.replication_user,
            password=cluster.replication_password,
            like=like,
        )

    @asynccontextmanager
    async def _server(self, cluster: Cluster, instance: Instance, purpose: str) -> AsyncIterator[Server]:
        """Without a limit of its own: what is asked here has limits, and a log that is applied takes its time."""
        await prepare_secrets([cluster.password, cluster.replication_password])
        access = Access.to(cluster, instance.address, timeouts=Timeouts(statement_seconds=10.0), application_name=purpose)
        server = self._ground.engines.get(cluster.engine).connect(access)
        try:
            yield server
        finally:
            await server.aclose()


async def _state_of(route: Route) -> RouteState | None:
    """Where it leads; None where nobody can tell now: a way that is out of order must not keep the cluster down."""
    try:
        return await route.current()
    except DbreError:
        return None


def _fence_id(context: StepContext) -> str:
    return context.token.operation_id.hex[-12:]


async def _promoted(server: Server, seconds: float | None) -> dict[str, Any]:
    view = await server.topology.view()
    return {
        "is_writable": view.role is Role.PRIMARY and view.is_writable,
        "timeline": view.timeline,
        "seconds": round(seconds, 3) if seconds is not None else None,
    }


def _last_document(last: LastWord) -> dict[str, Any]:
    position = last.position
    if position is None:
        return {"position": None}
    sequences = dict(position.sequences) if position.sequences is not None else None
    return {"position": {"text": position.text, "offset": position.offset, "sequences": sequences}}


def _loss(candidate: Instance, drained: Drained, confirmed: Mapping[str, Any]) -> Loss:
    """What is lost with what the candidate really has now."""
    if confirmed["is_zero_promised"]:
        return Loss(is_zero_promised=True, bytes=0)
    told = confirmed["last"]["position"]
    last = LastWord(position=LogPosition(**told) if told is not None else None)
    now = Candidate(name=candidate.name, is_reachable=True, is_replica=True, received=drained.usable)
    return loss_of(now, last, [now])
