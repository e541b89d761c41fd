"""A change of primary that Sentinels do. They promote without asking the old primary, so it is closed to writes before.

By itself ``SENTINEL FAILOVER`` loses what clients write to the old primary until it is told, some 10 s later, that it is none.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from dbre.capabilities.ha.sentinel.config_document import SentinelDocument
from dbre.capabilities.ha.sentinel.hand_over_checks import hand_over_checks
from dbre.capabilities.ha.sentinel.words import SentinelWords, read_words, sentinels_of
from dbre.capabilities.ha.switchover.checks import PreCheck
from dbre.core.errors import DbreError, Unreachable
from dbre.core.fleet import Cluster, Fleet, Instance
from dbre.core.operation.definition import OutcomeUnknown
from dbre.ports.engine import Server
from dbre.ports.succession import Following
from dbre.tools.sentinel import SentinelRefused

__all__ = ["SentinelHandOver", "ServerOpener"]

_LOOK_SECONDS = 0.1
_SETTLED_SECONDS = 2.0  # a Sentinel begins a failover within a round of its own, ten times a second
_PROBE_SECONDS = 30.0
_FOLLOW_SECONDS = 60.0
_PURPOSE = "dbre:switchover"


class ServerOpener(Protocol):
    """``SwitchoverGround.server``."""

    def __call__(self, cluster: Cluster, instance: Instance, *, purpose: str) -> AbstractAsyncContextManager[Server]:
        """A handle on one server, closed at the end."""
        ...


class SentinelHandOver:
    """Sentinels make another instance the primary (``switchover.handing_over.HandOver``)."""

    def __init__(self, document: SentinelDocument, fleet: Fleet, server: ServerOpener) -> None:
        self._document, self._fleet, self._server = document, fleet, server

    @property
    def name(self) -> str:
        """Who does it."""
        return "Sentinel"

    @property
    def why_slow(self) -> str | None:
        """Where the time goes."""
        return "Sentinels look at each server once a second, and more than half of them must have heard: 1 to 3 s in all"

    @property
    def sets(self) -> frozenset[str]:
        """None."""
        return frozenset()

    async def check(self, cluster: Cluster, old: Instance, new: Instance) -> Sequence[PreCheck]:
        """What the Sentinels say for and against it. Raises: SecretUnavailable."""
        return list(hand_over_checks(await self._words(cluster), old, new))

    async def run(self, cluster: Cluster, old: Instance, new: Instance, *, limit_seconds: float) -> None:
        """Close the old one, wait until the new one has everything, ask for it, and wait for the majority's word.

        Raises: what the servers raise and SentinelRefused, where it did not happen and the old one takes writes again;
        OutcomeUnknown, Unreachable where nobody can tell: then the old one stays closed until ``has_happened`` was asked.
        """
        words = await self._words(cluster)
        if await self._leads(cluster, words, new):
            await self._settle(cluster, words, old)  # by an earlier attempt
            return
        named = words.instance_of(words.primary) if words.primary is not None else "nobody"
        if named != old.name:
            raise SentinelRefused(
                f"the majority of the Sentinels of {words.name} names {named}, and not {old.name}, as was planned",
                hint="plan it again: dbre ha switchover --check",
            )
        try:
            async with self._server(cluster, old, purpose=_PURPOSE) as before:
                position = await before.succession.close_to_writes(limit_seconds=limit_seconds)
            async with self._server(cluster, new, purpose=_PURPOSE) as after:
                await after.succession.wait_reached(position, limit_seconds=limit_seconds)
        except BaseException:
            await asyncio.shield(self._open(cluster, old))  # nobody was asked for anything yet
            raise
        said: DbreError | None = None
        try:
            await sentinels_of(self._document, cluster).failover()
        except DbreError as error:  # one that did not answer in time may have begun, and the next refuses for that
            said = error
        words = await self._decided(cluster, old, new, limit_seconds=limit_seconds, said=said)
        await self._settle(cluster, words, old)

    async def has_happened(self, cluster: Cluster, old: Instance, new: Instance) -> bool | None:
        """Whether the majority names the new one; whichever it is, the old one is left as follower or as primary, and open.

        None where not every Sentinel answers, or a failover goes on: it may come yet, so the old one stays as it is.
        """
        try:
            words = await self._decided(cluster, old, new, limit_seconds=_PROBE_SECONDS, said=None)
        except SentinelRefused:
            return False
        except (OutcomeUnknown, Unreachable):
            return None
        await self._settle(cluster, words, old)
        return True

    async def _decided(
        self, cluster: Cluster, old: Instance, new: Instance, *, limit_seconds: float, said: DbreError | None
    ) -> SentinelWords:
        """Until the new one leads. Raises: SentinelRefused where it will not, and the old one was opened; OutcomeUnknown."""
        rest_since: float | None = None
        reason = f"; they said: {said.message}" if said is not None else ""
        try:
            async with asyncio.timeout(limit_seconds):
                while True:
                    words = await self._words(cluster)
                    if await self._leads(cluster, words, new):
                        return words
                    now = time.monotonic()
                    rest_since = (rest_since or now) if _is_at_rest(words, old) else None
                    if rest_since is not None and now - rest_since >= _SETTLED_SECONDS:
                        break
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError as error:
            raise OutcomeUnknown(
                f"the Sentinels of {self._document.name or cluster.name} do not agree on {new.name} "
                f"within {limit_seconds:g} s{reason}"
            ) from error
        await self._open(cluster, old)
        raise SentinelRefused(
            f"the Sentinels of {words.name} stay with {old.name}, and do not promote {new.name}{reason}",
            hint="see their logs for -failover-abort, then dbre ha switchover --check",
        )

    async def _leads(self, cluster: Cluster, words: SentinelWords, new: Instance) -> bool:
        """By the majority's word, and by its own."""
        if words.primary is None or words.instance_of(words.primary) != new.name:
            return False
        async with self._server(cluster, new, purpose=_PURPOSE) as server:
            return (await server.topology.view()).is_writable

    async def _settle(self, cluster: Cluster, words: SentinelWords, old: Instance) -> None:
        """The old one follows at once, and need not wait until a Sentinel tells it; a follower is not closed any more."""
        assert words.primary is not None  # noqa: S101 -- it leads
        following = Following(
            upstream=words.primary,  # in their words: by another name of it they would send the follower there once more
            name=old.name,
            user=cluster.replication_user,
            password=cluster.replication_password,
        )
        async with self._server(cluster, old, purpose=_PURPOSE) as server:
            await server.succession.follow(following, limit_seconds=_FOLLOW_SECONDS)

    async def _open(self, cluster: Cluster, old: Instance) -> None:
        async with self._server(cluster, old, purpose=_PURPOSE) as server:
            await server.succession.open_to_writes()

    async def _words(self, cluster: Cluster) -> SentinelWords:
        return await read_words(self._document, self._fleet, cluster)


def _is_at_rest(words: SentinelWords, old: Instance) -> bool:
    """Everybody answers, nobody fails over, and the majority names the old one: nothing will come of it."""
    everybody = len(words.answers) == len(words.words)
    is_quiet = everybody and not any(one.is_failing_over for one in words.answers)
    return is_quiet and words.primary is not None and words.instance_of(words.primary) == old.name
