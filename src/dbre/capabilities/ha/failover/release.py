"""``ha.release``: a dead leader of Patroni is fenced, and its lease let go, so that Patroni promotes at once.

Patroni waits for its lease to end, 20 s at least, because it cannot know that the leader is dead. Whoever fenced it does.
A Patroni that lives keeps its lease, also where only its server is down. One that is silent may live: it hangs with its
server, and would start it as the primary when it wakes. So the fence includes its process, and nothing is deleted where one
still listens.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from dbre.capabilities.ha.failover.document import FailoverInput
from dbre.capabilities.ha.failover.fences import agent_of
from dbre.capabilities.ha.failover.lease import lease_reasons
from dbre.capabilities.ha.failover.operation import FailOver
from dbre.capabilities.ha.failover.situation import instance_of
from dbre.capabilities.ha.failover.surveying import RELEASE, Survey, refuse
from dbre.capabilities.ha.fencing.rung import FenceFailed
from dbre.capabilities.ha.fencing.rungs import is_open
from dbre.capabilities.ha.nodes import Nodes
from dbre.capabilities.ha.patroni.access import access_of, etcd_of, key_of, prepare
from dbre.capabilities.ha.patroni.config_document import PatroniDocument
from dbre.capabilities.ha.patroni.word import PatroniWord, read_word
from dbre.core.errors import DbreError, UsageError
from dbre.core.fleet import Cluster, Instance
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import NotHappened, step
from dbre.core.operation.plan import Change, LockMode, Plan, Risk, Step
from dbre.tools.etcd import EtcdClient
from dbre.tools.patroni import NodeState, api_address, living

__all__ = ["NobodyPromoted", "PatroniLives", "ReleaseLease", "leader_apis"]

_PROMOTED_WITHIN_SECONDS = 120.0
_LOOK_SECONDS = 0.1
_PATIENCE = timedelta(seconds=1)
_FRESH_SECONDS = 0.5


class NobodyPromoted(DbreError):
    """The lease is free, and Patroni promotes nobody."""

    code = "ha.nobody_promoted"


class PatroniLives(FenceFailed):
    """The leader's Patroni may come to life while its lease is about to be let go: nothing was deleted."""

    code = "ha.patroni_lives"


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a plan was made of, once."""

    asked: FailoverInput  # with what the plan chose
    at: float
    found: Survey


class ReleaseLease(FailOver):
    """The failover of a cluster whose primary Patroni chooses."""

    kind, version = RELEASE, 1
    _seen: "_Seen | None" = None

    async def plan(self, context: PlanContext, asked: FailoverInput) -> Plan:  # noqa: ARG002 - as FailOver
        """Look, listen, ask Patroni and etcd. Raises: FailoverRefused; UsageError where etcd is not known."""
        found, word = await self._survey(asked)
        refuse(found)
        cluster, primary = found.situation.cluster, found.situation.primary.name
        self._seen = _Seen(asked.model_copy(update={"primary": primary}), self._ground.clock.monotonic(), found)
        rungs = ", then ".join(one.name for one in found.ladder.rungs)
        given = {"primary": primary, "candidate": None}
        held = {"accept_loss": asked.accept_loss, "automatic": asked.automatic}
        steps = [
            Step("confirm", summary=f"see again that {primary} is dead and holds the lease", input=given | held),
            Step("fence", summary=f"fence {primary} ({rungs}) and see that it is", input=given, undo="unfence"),
            Step(
                "release",
                summary=f"delete the leader key if it is still {primary}'s",
                input=given | {"member": word.leader, "apis": leader_apis(self._document(cluster), word)},
                irreversible=True,
            ),
            Step("await-promotion", summary="see whom Patroni promotes", input=given),
        ]
        routes = [one.name for one in self._ground.routes(cluster)]
        if routes:
            summary = f"lead clients to the new primary by {', '.join(routes)}"
            steps.append(Step("turn-routes", summary=summary, input=given | {"before": dict.fromkeys(routes)}))
        return Plan(
            target=f"cluster/{cluster.name}",
            summary=f"let go of the lease of {primary}, so that Patroni fails {cluster.name} over",
            steps=tuple(steps),
            risk=Risk.SEVERE,
            lock=LockMode.RESCUE,
            changes=(Change(subject=f"{primary}: role", before="leader", after="fenced"),),
            blast_radius=(f"{primary} is stopped or cut off, whatever it is doing; Patroni takes it in again as a replica",),
            warnings=tuple(f"fence {one}" for one in found.ladder.problems),
            observed={"primary": primary, "fences": [one.name for one in found.ladder.rungs]},
            tags=("failover",),
        )

    async def survey(self, asked: FailoverInput) -> Survey:
        """As for any failover, and what Patroni and etcd say of the lease.

        What the plan has seen a moment ago still counts: looking again would take longer than that.
        """
        seen, self._seen = self._seen, None
        if seen is not None and seen.asked == asked and self._ground.clock.monotonic() - seen.at <= _FRESH_SECONDS:
            return seen.found
        return (await self._survey(asked))[0]

    async def _survey(self, asked: FailoverInput) -> tuple[Survey, PatroniWord]:
        cluster = self._ground.fleet.cluster(asked.cluster)
        document = self._document(cluster)
        if asked.to is not None:
            raise UsageError(
                "Patroni chooses whom it promotes", hint="leave --to out; tags in Patroni's configuration say who may"
            )
        # A node that hangs is silent for as long as it is waited for, and the lease ends meanwhile.
        assert document.etcd is not None  # noqa: S101 - _document saw to it
        etcd = document.etcd.model_copy(update={"timeout": min(document.etcd.timeout, _PATIENCE)})
        patient = document.model_copy(update={"timeout": min(document.timeout, _PATIENCE), "etcd": etcd})
        found, word, alive = await asyncio.gather(
            self.look(asked, is_release=True),
            read_word(patient, self._ground.fleet, cluster, self._ground.clock),
            living(access_of(document), document.urls, timeout_seconds=_PATIENCE.total_seconds()),
        )
        sign = await self._sign_of_life(document, word, cluster, found, alive)
        reasons = (*found.decision.reasons, *lease_reasons(word, found.situation.primary.name, sign=sign))
        return replace(found, decision=replace(found.decision, reasons=reasons)), word

    @step(timeout_seconds=60.0, idempotent=True)
    async def release(self, context: StepContext) -> Mapping[str, Any]:
        """One transaction: delete the key if nobody wrote it since the fence was seen. Who leads by now is left alone.

        Raises: FenceFailed, PatroniLives; then nothing was deleted.
        """
        member = context.input["member"]
        cluster = self._cluster(context)
        document = self._document(cluster)
        async with await self._etcd(document) as etcd:
            key = key_of(document, cluster, "leader")
            before = (await etcd.read(key)).only
            await asyncio.gather(
                self._see_fenced(context),
                self._see_agent_gone(context, cluster),
                self._see_nobody_listens(context, document),
            )
            # A Patroni that is started again holds the lease anew under the same name.
            revision = before.mod_revision if before is not None else None
            done = await etcd.compare_and_delete(key, member, mod_revision=revision)
        other = done.found.value.decode("utf-8", "replace") if done.found is not None else None
        return {"member": member, "is_released": done.is_done, "leader": other, "revision": done.revision}

    @release.probe
    async def _(self, context: StepContext) -> Mapping[str, Any]:
        """Whether the key is still of the one that was fenced."""
        member = context.input["member"]
        cluster = self._cluster(context)
        document = self._document(cluster)
        async with await self._etcd(document) as etcd:
            found = (await etcd.read(key_of(document, cluster, "leader"))).only
        if found is not None and found.value.decode("utf-8", "replace") == member:
            raise NotHappened(f"{member} still holds the lease")
        leader = found.value.decode("utf-8", "replace") if found is not None else None
        return {"member": member, "is_released": True, "leader": leader, "revision": None}

    async def _sign_of_life(
        self, document: PatroniDocument, word: PatroniWord, cluster: Cluster, found: Survey, alive: Sequence[str]
    ) -> str | None:
        """What shows that the leader's Patroni lives, or why nobody can tell.

        None: it is silent, and none is seen to run that is not going to be turned off with its machine.
        """
        apis = leader_apis(document, word)
        if any(isinstance(one, NodeState) and one.name == word.leader for one in word.nodes):
            return "Patroni answers there"
        if not apis:
            return "no address under patroni: urls: leads to it, so nobody can tell"
        agent = await agent_of(self._ground, cluster, found.situation.primary)
        if agent is not None and await agent.left() is not None:
            awake = await agent.awake()
            if awake is None or not any(one.ends_agent for one in found.ladder.rungs):
                return awake  # what is frozen answers nobody
        if any(one in alive for one in apis):
            return "Patroni answers there, and waits for its server"
        return None

    async def _see_agent_gone(self, context: StepContext, cluster: Cluster) -> None:
        """A command that was to take the machine away may have stopped the server alone; behind a cut nobody hears the rest."""
        primary = instance_of(cluster, context.input["primary"])
        agent = await agent_of(self._ground, cluster, primary)
        left = await agent.left() if agent is not None else None
        if left is not None:
            raise PatroniLives(
                f"{primary.name} is fenced, and {left}: its lease is left alone",
                hint="have the fence end the machine or Patroni, too, and plan again; or wait until its lease ends",
            )

    async def _see_nobody_listens(self, context: StepContext, document: PatroniDocument) -> None:
        """A fence of the server alone leaves its Patroni, which goes on once its machine or its server lets it."""
        given = context.input.get("apis", document.urls)
        await asyncio.gather(*(_see_silent(one, context.input["primary"]) for one in document.urls if one in given))

    @step(timeout_seconds=_PROMOTED_WITHIN_SECONDS + 30.0, idempotent=True)
    async def await_promotion(self, context: StepContext) -> Mapping[str, Any]:
        """Until another instance takes writes. Raises: NobodyPromoted."""
        cluster, clock = self._cluster(context), context.clock
        old, begun = context.input["primary"], clock.monotonic()
        others = tuple(one for one in cluster.instances if one.name != old)
        async with Nodes(self._ground.engines, self._ground.fleet, limit_seconds=2.0) as nodes:
            await nodes.prepare([cluster.name])
            while clock.monotonic() - begun < _PROMOTED_WITHIN_SECONDS:
                # Not whom they name: they still follow one that is off, and silent.
                seen = await asyncio.gather(*(nodes.ask(one) for one in others))
                found = next((one for one in seen if one.is_primary and one.view is not None and one.view.is_writable), None)
                if found is not None:
                    return {"candidate": found.name, "seconds": round(clock.monotonic() - begun, 3)}
                await clock.sleep(_LOOK_SECONDS)
        raise NobodyPromoted(
            f"the lease of {cluster.name} is free, and nobody took it within {_PROMOTED_WITHIN_SECONDS:g} s",
            hint="read Patroni's log on the replicas: maximum_lag_on_failover, nofailover, synchronous mode",
        )

    def new_primary(self, context: StepContext) -> Instance:
        """Whom Patroni promoted."""
        return instance_of(self._cluster(context), context.results["await-promotion"]["candidate"])

    async def _etcd(self, document: PatroniDocument) -> EtcdClient:
        await prepare(document)
        etcd = etcd_of(document)
        assert etcd is not None  # noqa: S101 - _document saw to it
        return etcd

    def _document(self, cluster: Cluster) -> PatroniDocument:
        found = self._ground.settings.of(cluster.name).patroni
        if found is None or found.etcd is None:
            raise UsageError(
                f"where the lease of {cluster.name} is kept is not known",
                hint=f"name it: ha: clusters: - cluster: {cluster.name} patroni: etcd: urls:",
            )
        return found


async def _see_silent(url: str, primary: str) -> None:
    try:
        is_there = await is_open(api_address(url))
    except OSError as error:  # whom nobody finds may live
        raise PatroniLives(
            f"whether Patroni still listens at {api_address(url)} cannot be seen: its name leads nowhere",
            hint="name its REST API by number under patroni: urls: of the cluster in ha: clusters:",
        ) from error
    if is_there:
        raise PatroniLives(
            f"{primary} is fenced, and its Patroni still listens at {api_address(url)}: its lease is left alone",
            hint="stop that Patroni or its machine, and plan again; or wait until its lease ends: dbre ha status",
        )


def leader_apis(document: PatroniDocument, word: PatroniWord) -> list[str]:
    """The addresses of the leader's Patroni: where it says it listens, or wherever nobody says who is there."""
    member = word.view.member(word.leader) if word.view is not None and word.leader is not None else None
    told = [url for url in document.urls if member is not None and urlsplit(url).netloc == member.api]
    nameless = [url for url, one in zip(document.urls, word.nodes, strict=True) if not isinstance(one, NodeState)]
    return told or nameless
