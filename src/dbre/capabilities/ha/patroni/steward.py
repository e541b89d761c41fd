"""Servers restarted, and settings kept, by Patroni (``ports.steward.Steward``): over its REST API, and never past it."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from dbre.capabilities.ha.config_document import HaDocument
from dbre.capabilities.ha.patroni.access import patroni_of, prepare
from dbre.capabilities.ha.patroni.config_document import PatroniDocument
from dbre.capabilities.ha.patroni.steward_checks import steward_checks
from dbre.capabilities.ha.patroni.word import read_word
from dbre.core.clock import Clock
from dbre.core.errors import Unreachable
from dbre.core.fleet import Cluster, Fleet, Instance
from dbre.core.text import printable
from dbre.ports.session import Role
from dbre.ports.succession import NotDone, Obstacle
from dbre.tools.json_servers import NoAnswer
from dbre.tools.patroni import NodeState, PatroniClient, PatroniRefused

__all__ = ["PatroniSteward", "steward_of"]

_POLL_SECONDS = 0.25
_IN_BETWEEN = ("restarting", "starting", "stopping", "creating replica")
_RUNNING = ("running", "streaming")
_UNDER_WAY = ("still starting", "already in progress")  # Source: patroni/ha.py, restart
_PACES = 3  # of its loop: it reads the store, writes the files, and sees after the reload what waits for a restart
_GRACE_SECONDS = 10.0
_ROLES = {Role.PRIMARY: "primary", Role.REPLICA: "replica"}


class PatroniSteward:
    """Patroni of one cluster."""

    def __init__(self, document: PatroniDocument, fleet: Fleet, clock: Clock) -> None:
        self._document, self._fleet, self._clock = document, fleet, clock

    @property
    def name(self) -> str:
        """Who it is."""
        return "Patroni"

    async def check(self, cluster: Cluster) -> Sequence[Obstacle]:
        """What its members and its store say."""
        await prepare(self._document)
        return list(steward_checks(await read_word(self._document, self._fleet, cluster, self._clock), cluster))

    async def restart(self, cluster: Cluster, instance: Instance, *, role: Role | None, limit_seconds: float) -> None:
        """``POST /restart``. An answer that is lost is no failure: the node is asked what became of it."""
        deadline = time.monotonic() + limit_seconds
        await prepare(self._document)
        async with patroni_of(self._document) as patroni:
            member = await self._member(cluster, instance)
            is_under_way = (await self._node(patroni, member)).state in _IN_BETWEEN  # somebody who was killed asked for it
            if is_under_way and await self._settled(patroni, member, deadline) in _RUNNING:
                return
            try:
                only = _ROLES.get(role) if role is not None else None
                await patroni.restart(member, role=only, timeout_seconds=limit_seconds)
            except NoAnswer:
                pass  # it may be doing it
            except PatroniRefused as error:
                if not any(words in error.message for words in _UNDER_WAY):
                    raise
            seen = await self._settled(patroni, member, deadline)
        if seen not in _RUNNING:
            raise NotDone(
                f"PostgreSQL of {instance.name} was restarted by Patroni, and does not run: Patroni says "
                f"{printable(seen, limit=100)}",
                hint="see the logs of Patroni and PostgreSQL there",
                context={"instance": instance.name},
            )

    async def waits_for_restart(self, cluster: Cluster, instance: Instance) -> frozenset[str]:
        """``pending_restart_reason`` of its own Patroni."""
        await prepare(self._document)
        async with patroni_of(self._document) as patroni:
            return (await self._node(patroni, await self._member(cluster, instance))).waits_for_restart

    async def settings(self, cluster: Cluster) -> Mapping[str, str]:  # noqa: ARG002 - the port's signature
        """``postgresql: parameters:`` of its dynamic configuration."""
        await prepare(self._document)
        async with patroni_of(self._document) as patroni:
            section = (await patroni.config()).get("postgresql")
        kept = section.get("parameters") if isinstance(section, dict) else None
        return {str(name): _text(value) for name, value in kept.items()} if isinstance(kept, dict) else {}

    async def store(self, cluster: Cluster, values: Mapping[str, str | None]) -> None:  # noqa: ARG002 - the port's signature
        """``PATCH /config``."""
        await prepare(self._document)
        async with patroni_of(self._document) as patroni:
            await patroni.configure({"postgresql": {"parameters": dict(values)}})

    async def pace_seconds(self, cluster: Cluster) -> float:  # noqa: ARG002 - the port's signature
        """A few turns of its loop."""
        await prepare(self._document)
        async with patroni_of(self._document) as patroni:
            pace = (await patroni.config()).get("loop_wait", 10)
        return _GRACE_SECONDS + _PACES * float(pace if isinstance(pace, int | float) else 10)

    async def _member(self, cluster: Cluster, instance: Instance) -> str:
        word = await read_word(self._document, self._fleet, cluster, self._clock)
        member = word.member_at(instance.name)
        if member is None:
            why = word.error.message if word.error is not None else f"no member is at {instance.address}"
            raise Unreachable(
                f"Patroni of {word.scope} does not know {instance.name}: {why}", hint=f"dbre ha status {cluster.name}"
            )
        return member.name

    async def _node(self, patroni: PatroniClient, member: str) -> NodeState:
        for one in await patroni.nodes():
            if isinstance(one, NodeState) and one.name == member:
                return one
        raise Unreachable(f"Patroni of {member} does not answer", hint="see whether it runs there")

    async def _settled(self, patroni: PatroniClient, member: str, deadline: float) -> str:
        """The state of its PostgreSQL, once it is between none any more, or when the time is over."""
        seen = "silent"
        while True:
            with suppress(Unreachable):
                seen = (await self._node(patroni, member)).state
                if seen not in _IN_BETWEEN:
                    return seen
            if time.monotonic() > deadline:
                return seen
            await asyncio.sleep(_POLL_SECONDS)


def steward_of(settings: HaDocument, fleet: Fleet, cluster: Cluster, clock: Clock) -> PatroniSteward | None:
    """Of a cluster of the section ``ha``; None where nobody beside dbre starts its servers."""
    document = settings.of(cluster.name).patroni
    return PatroniSteward(document, fleet, clock) if document is not None else None


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)
