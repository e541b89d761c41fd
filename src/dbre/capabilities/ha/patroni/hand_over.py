"""A switchover that Patroni does. What it answers is never taken for what happened: the cluster is asked."""

import asyncio
from collections.abc import Sequence

from dbre.capabilities.ha.patroni.access import patroni_of, prepare
from dbre.capabilities.ha.patroni.config_document import PatroniDocument
from dbre.capabilities.ha.patroni.hand_over_checks import hand_over_checks
from dbre.capabilities.ha.patroni.word import PatroniWord, read_word
from dbre.capabilities.ha.switchover.checks import PreCheck
from dbre.core.clock import Clock
from dbre.core.errors import Unreachable
from dbre.core.fleet import Cluster, Fleet, Instance
from dbre.core.operation.definition import OutcomeUnknown
from dbre.tools.patroni import NodeState, PatroniClient, PatroniRefused, SwitchoverAnswer, SwitchoverOutcome

__all__ = ["PatroniHandOver", "PatroniRescue"]

_LOOK_SECONDS = 0.25
_RUNNING = ("running", "streaming")


class PatroniHandOver:
    """Patroni makes another member the leader (``switchover.handing_over.HandOver``)."""

    def __init__(self, document: PatroniDocument, fleet: Fleet, clock: Clock) -> None:
        self._document, self._fleet, self._clock = document, fleet, clock

    @property
    def name(self) -> str:
        """Who does it."""
        return "Patroni"

    @property
    def why_slow(self) -> str | None:
        """Where the time goes."""
        return "Patroni looks once a second whether the old primary is down, and then for the new one: 2 to 3 s in all"

    @property
    def sets(self) -> frozenset[str]:
        """Whom commits wait for stands on the leader alone, and moves with the lease."""
        return frozenset({"synchronous_standby_names"})

    async def check(self, cluster: Cluster, old: Instance, new: Instance) -> Sequence[PreCheck]:
        """What Patroni and its store say for and against it. Raises: SecretUnavailable."""
        return list(hand_over_checks(await self._word(cluster), old, new))

    async def run(self, cluster: Cluster, old: Instance, new: Instance, *, limit_seconds: float) -> None:
        """Ask for it, and wait until the new primary leads by its own word and by the store's.

        Raises: PatroniRefused where it did not happen and will not; Unreachable, OutcomeUnknown where nobody can tell.
        """
        word = await self._word(cluster)
        if word.view is None:
            raise word.error or Unreachable(f"Patroni of {word.scope} does not answer")
        if _leads(word, new):
            return  # by an earlier attempt
        leader, candidate = word.leader, word.member_at(new.name)
        if leader is None or word.instance_of(leader) != old.name or candidate is None:
            raise PatroniRefused(
                f"the lease of {word.scope} is {leader or 'nobody'}'s, and {new.name} is "
                f"{'a' if candidate is not None else 'no'} member: this is not what was planned",
                hint="plan it again: dbre ha switchover --check",
            )
        async with patroni_of(self._document) as patroni:
            asking = asyncio.create_task(self._request(patroni, leader, candidate.name))
            try:
                await self._wait(cluster, new, asking, limit_seconds=limit_seconds)
            finally:
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)

    async def _request(self, patroni: PatroniClient, leader: str, candidate: str) -> SwitchoverAnswer:
        """What it is asked for."""
        return await patroni.switchover(leader=leader, candidate=candidate)

    async def has_happened(self, cluster: Cluster, old: Instance, new: Instance) -> bool | None:
        """Whether the new one leads; None while a request is under way, nobody leads, or nobody answers."""
        word = await self._word(cluster)
        if word.view is None:
            return None
        if _leads(word, new):
            return True
        is_quiet = word.store is not None and word.store.error is None and not word.store.has_request
        is_old_back = word.leader is not None and word.instance_of(word.leader) == old.name and _runs(word, word.leader)
        return False if is_old_back and is_quiet else None

    async def _wait(
        self, cluster: Cluster, new: Instance, asking: "asyncio.Task[SwitchoverAnswer]", *, limit_seconds: float
    ) -> None:
        """Until the new one leads, or until it is certain that nothing will come of it.

        Patroni looks once a second before it answers: the cluster is looked at meanwhile, for clients may be waiting. Its
        answer comes within a time of its own; the limit is for what is seen after it.
        """
        stays = 0
        try:
            async with asyncio.timeout(None) as limit:
                while True:
                    word = await self._word(cluster)
                    if _leads(word, new):
                        return
                    if not asking.done():
                        await asyncio.wait([asking], timeout=_LOOK_SECONDS)
                        continue
                    answer = asking.result()
                    if limit.when() is None:
                        limit.reschedule(asyncio.get_running_loop().time() + limit_seconds)
                    if answer.outcome is SwitchoverOutcome.REFUSED:
                        raise PatroniRefused(
                            f"Patroni does not hand {word.scope} over: {answer.text}", hint="dbre ha status says why"
                        )
                    other = word.instance_of(word.leader) if word.leader is not None else None
                    is_settled = word.leader is not None and _runs(word, word.leader) and not _is_pending(word, answer)
                    stays = stays + 1 if is_settled else 0
                    if stays * _LOOK_SECONDS > 2 * _loop_seconds(word):
                        raise PatroniRefused(
                            f"{other} still leads {word.scope}, and not {new.name}; Patroni said: {answer.text}",
                            hint="read Patroni's log on both nodes, then dbre ha status",
                        )
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError as error:
            raise OutcomeUnknown(f"nobody leads after {limit_seconds:g} s; Patroni said: {asking.result().text}") from error

    async def _word(self, cluster: Cluster) -> PatroniWord:
        await prepare(self._document)
        return await read_word(self._document, self._fleet, cluster, self._clock)


class PatroniRescue(PatroniHandOver):
    """The same where the leader serves nobody: a failover, for which the old primary need not be well."""

    async def _request(self, patroni: PatroniClient, leader: str, candidate: str) -> SwitchoverAnswer:  # noqa: ARG002 - it is told whom alone
        return await patroni.failover(candidate=candidate)


def _leads(word: PatroniWord, new: Instance) -> bool:
    """By the store's word, and by its own: the lease comes before the promotion."""
    if word.leader is None or word.instance_of(word.leader) != new.name:
        return False
    own = [one for one in word.nodes if isinstance(one, NodeState) and one.name == word.leader]
    return any(one.role == "primary" and one.state in _RUNNING for one in own)


def _runs(word: PatroniWord, leader: str) -> bool:
    own = [one for one in word.nodes if isinstance(one, NodeState) and one.name == leader]
    return any(one.role in ("primary", "standby_leader") and one.state in _RUNNING for one in own)


def _is_pending(word: PatroniWord, answer: SwitchoverAnswer) -> bool:
    """By the store, where it is asked; else Patroni's "failed" says that its request is gone, and "unknown" that it is not."""
    if word.store is not None:
        return word.store.error is not None or word.store.has_request
    return answer.status is None or "failed" not in answer.text


def _loop_seconds(word: PatroniWord) -> float:
    value = (word.config or {}).get("loop_wait", 10)
    return float(value) if isinstance(value, int | float) else 10.0
