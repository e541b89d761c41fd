"""The control plane's eye on each cluster with observers: it tells what changes, and asks for a failover where it may."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog

from dbre.capabilities.ha.detection.observer import Observer
from dbre.capabilities.ha.detection.observing import Vouch, observe
from dbre.capabilities.ha.detection.reports import Listener
from dbre.capabilities.ha.detection.weighing import Weighing, weigh
from dbre.capabilities.ha.failover.config_document import FailoverDocument
from dbre.capabilities.ha.failover.ground import FailoverGround
from dbre.capabilities.ha.watchdog.sending import sender_for
from dbre.core.errors import DbreError, StoreError
from dbre.core.fleet import Cluster
from dbre.core.store import Store
from dbre.core.store.errors import ControlPlaneLockLost

__all__ = ["OWN_NAME", "Ask", "Guard", "Tell"]

OWN_NAME = "control-plane"
"""Which observer the control plane itself is, where a cluster lists it."""

_LOOK_SECONDS = 0.2
_AGAIN_SECONDS = 5.0  # after a refusal: what forbids it now may be different then
_log = structlog.get_logger(__name__)

Ask = Callable[[str, str], Awaitable[None]]
"""Ask for an automatic failover of a cluster away from a primary, and return when it has ended. Raises: DbreError."""
Tell = Callable[[str, str, Mapping[str, Any]], None]
"""An event: kind, subject, data."""


class Guard:
    """All clusters with observers, side by side, until cancelled."""

    def __init__(self, ground: FailoverGround, store: Store, *, ask: Ask, tell: Tell) -> None:
        self._ground = ground
        self._store = store
        self._ask = ask
        self._tell = tell

    async def observe(self) -> None:
        """Be one of the observers of every cluster that lists us."""
        mine = [cluster for cluster, settings in self._observed() if OWN_NAME in settings.observers]
        async with asyncio.TaskGroup() as group:
            for one in mine:
                group.create_task(self._observe(one))
            group.create_task(_for_ever())

    async def _observe(self, cluster: Cluster) -> None:
        ground = self._ground
        observer = Observer(ground.engines, ground.fleet, cluster, ground.clock, name=OWN_NAME)
        await observe(observer, self._store, ground.clock, vouch=await self._vouch(cluster))

    async def _vouch(self, cluster: Cluster) -> Vouch | None:
        try:
            sender = await sender_for(self._ground.settings, cluster, OWN_NAME)
        except DbreError as error:  # watchdogs hear the others; a majority of them suffices
            _log.error("beacon_has_no_secret", cluster=cluster.name, code=error.code, error=error.message)
            return None
        return sender.send if sender is not None else None

    async def watch(self) -> None:
        """Weigh the reports of every cluster that has observers."""
        async with asyncio.TaskGroup() as group:
            for cluster, settings in self._observed():
                group.create_task(self._watch(cluster, settings))
            group.create_task(_for_ever())

    def _observed(self) -> Sequence[tuple[Cluster, FailoverDocument]]:
        found = [(one, self._ground.failover_of(one.name)) for one in self._ground.fleet.clusters]
        return [(cluster, settings) for cluster, settings in found if settings.observers]

    async def _watch(self, cluster: Cluster, settings: FailoverDocument) -> None:
        listener, clock = Listener(self._store, cluster.name, self._ground.clock), self._ground.clock
        said: tuple[str, ...] | None = None
        refused: str | None = None
        while True:
            try:
                weighed = weigh(await listener.hear(), settings.rules)
                verdicts = tuple(one.value for one in weighed.judgement.verdicts)
                if verdicts != said and not (said is None and not verdicts):
                    self._tell("ha.verdict_changed", cluster.name, _facts(weighed))
                said = verdicts
                if weighed.may_fail_over and settings.auto and weighed.primary is not None:
                    refused = await self._fail_over(cluster, weighed.primary, refused)
            except ControlPlaneLockLost:
                raise
            except StoreError as error:
                _log.warning("reports_not_read", cluster=cluster.name, code=error.code, error=error.message)
            await clock.sleep(_LOOK_SECONDS)

    async def _fail_over(self, cluster: Cluster, primary: str, refused: str | None) -> str | None:
        """Ask for it; gives why it was refused, so that the same reason is told once."""
        try:
            await self._ask(cluster.name, primary)
        except (ControlPlaneLockLost, StoreError):
            raise
        except DbreError as error:
            if error.message != refused:
                self._tell("ha.failover_refused", cluster.name, {"primary": primary, "code": error.code, "why": error.message})
                _log.error("failover_refused", cluster=cluster.name, primary=primary, code=error.code, error=error.message)
            await self._ground.clock.sleep(_AGAIN_SECONDS)
            return error.message
        return None


def _facts(weighed: Weighing) -> dict[str, Any]:
    return {
        "primary": weighed.primary,
        "verdicts": [one.value for one in weighed.judgement.verdicts],
        "action": weighed.judgement.action.value,
        "reasons": list(weighed.judgement.reasons),
        "observers": {name: one.value for name, one in weighed.contacts.items()},
        "notes": dict(weighed.notes),
    }


async def _for_ever() -> None:
    await asyncio.Event().wait()
