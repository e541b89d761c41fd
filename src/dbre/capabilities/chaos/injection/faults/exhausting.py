"""``pool-exhaustion``: idle sessions of one login take every place that the server has for clients like it."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import Field

from dbre.capabilities.chaos.injection.model import Fault, FaultKind, InjectionFailed, Parameters, Scene, Sighting
from dbre.core.errors import DbreError, PrecheckFailed
from dbre.core.text import counted
from dbre.ports.engine import Server, Timeouts

__all__ = ["EXHAUSTION", "Exhaustion", "ExhaustionParameters"]

_AT_ONCE = 8
_REFUSED_SECONDS = 2.0
_TIMEOUTS = Timeouts(connect_seconds=2.0, statement_seconds=2.0)


class ExhaustionParameters(Parameters):
    """How many sessions are taken."""

    leave: int = Field(0, ge=0, le=100_000, description="so many places stay free for others")
    most: int = Field(500, ge=1, le=10_000, description="never more sessions than this")


class Exhaustion(Fault):
    """Sessions that are opened and do nothing; they die with the injector, however it ends."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._control: Server | None = None  # opened first: it must not be locked out by the fault
        self._held: list[Server] = []

    async def prepare(self) -> Mapping[str, Any]:
        """Open the control connection, and see that the login has no right to reserved places."""
        control = self._controlling()
        if (await control.session.login()).is_superuser:
            raise PrecheckFailed(
                f"the login of {self.scene.cluster} is a superuser, for whom the server keeps places: it would take those too",
                hint="use a login without that right, as the server's clients do",
            )
        found = await control.activity.summary()
        used = sum(found.sessions_by_state.values())
        asked: ExhaustionParameters = self.scene.parameters
        count = min(asked.most, found.max_sessions - used - asked.leave)
        if count <= 0:
            raise PrecheckFailed(f"{self.scene.instance} has {used} of {found.max_sessions} sessions already")
        return {"tag": self.scene.access.application_name, "count": count, "leave": asked.leave}

    async def begin(self, inverse: Mapping[str, Any]) -> Mapping[str, Any]:
        """Open sessions until the server refuses one, or there are as many as were asked for."""
        is_full = False
        while not is_full and len(self._held) < inverse["count"]:
            wanted = min(_AT_ONCE, inverse["count"] - len(self._held))
            opened = await asyncio.gather(*(self._open() for _ in range(wanted)))
            is_full = not all(opened)
        if is_full:
            for _ in range(min(inverse["leave"], len(self._held))):
                await self._held.pop().aclose()
        if not self._held:
            raise InjectionFailed(f"{self.scene.instance} refused the first session")
        return inverse

    async def look(self, inverse: Mapping[str, Any]) -> Sighting:
        """Ask the server for sessions of the fault's name."""
        control = self._controlling()
        sessions = await control.activity.sessions(limit=20_000)
        ours = sum(one.application_name == inverse["tag"] for one in sessions)
        found = await control.activity.summary()
        used = sum(found.sessions_by_state.values())
        return Sighting(ours > 0, f"{counted(ours, 'session')} held, {used} of {found.max_sessions} in use")

    async def end(self, inverse: Mapping[str, Any]) -> None:  # noqa: ARG002 - the sessions are this process's own
        """Close them."""
        while self._held:
            await self._held.pop().aclose()

    async def _open(self) -> bool:
        access = replace(self.scene.access, max_connections=1, timeouts=_TIMEOUTS)
        server = self.scene.engines.get(self.scene.engine).connect(access)
        self._held.append(server)  # before it is open: it must be closed whatever happens
        try:
            async with asyncio.timeout(_REFUSED_SECONDS):
                await server.session.identify()
        except (DbreError, TimeoutError):
            self._held.remove(server)
            await server.aclose()
            return False
        return True

    def _controlling(self) -> Server:
        if self._control is None:
            self._control = self.scene.engines.get(self.scene.engine).connect(self.scene.access)
        return self._control


def _make(scene: Scene) -> Fault:
    return Exhaustion(scene)


EXHAUSTION = FaultKind(
    name="pool-exhaustion",
    summary="idle sessions take the places for clients; those reserved for administrators stay free",
    privilege="the cluster's login, which must see sessions (pg_monitor, PROCESS) and must not be a superuser",
    proof="the server's list of sessions",
    undo="close them; they end with the injector's process anyway",
    parameters=ExhaustionParameters,
    make=_make,
)
