"""HAProxy as a route: one server of a backend is ready, the others are in maintenance.

Nothing compares and swaps in HAProxy: what it says is read, compared and then changed. Two who turn the same backend within
some milliseconds can still meet; the verification afterwards sees it.
"""

import asyncio
import time
from collections.abc import Sequence

from dbre.core.errors import Unreachable, UsageError
from dbre.core.fleet import Address
from dbre.core.network import resolve
from dbre.ports.route import RouteChanged, RouteCheck, RouteState
from dbre.tools.haproxy.runtime_api import BackendServer, RuntimeApi

__all__ = ["HaproxyRoute"]

_EMPTY_SECONDS = 5.0
_LOOK_SECONDS = 0.02
_LOOK_UP_SECONDS = 5.0


class HaproxyRoute:
    """One backend of one HAProxy.

    A backend with a single server has that server's address changed. Where health checks find the primary (``is_checked``, as
    with Patroni's REST API), nothing is turned, and ``verify`` says whether the checks have noticed.
    """

    kind = "haproxy"
    can_pause = False

    def __init__(self, name: str, api: RuntimeApi, backend: str, *, is_checked: bool = False) -> None:
        self.name = name
        self._api = api
        self._backend = backend
        self._is_checked = is_checked

    async def current(self) -> RouteState:
        """The servers that take clients now."""
        return _state(await self._api.servers(self._backend))

    async def check(self, address: Address) -> Sequence[RouteCheck]:
        """The runtime API, and a server of that address."""
        servers = await self._api.servers(self._backend)
        wanted = await _numeric(address)
        may_change = self._is_checked or await self._api.may_change()
        is_there = wanted in [one.address for one in servers] or (len(servers) == 1 and not self._is_checked)
        return (
            RouteCheck(
                name="runtime_api",
                is_ok=may_change,
                seen=_state(servers).value if may_change else "may only show",
                wanted="may change servers",
                remedy="give the stats socket: level admin",
            ),
            RouteCheck(
                name="server",
                is_ok=is_there,
                seen=f"{len(servers)} servers, {'one' if is_there else 'none'} for {address}",
                wanted=f"a server at {wanted}, or one server alone",
                remedy=f"add it to backend {self._backend}: server NAME {wanted} disabled",
            ),
        )

    async def pause(self, *, limit_seconds: float) -> None:
        """HAProxy cannot hold clients back without refusing them."""

    async def resume(self) -> None:
        """Nothing is held back."""

    async def point_to(self, address: Address, *, before: RouteState) -> None:
        """The others to maintenance, then this one ready: never two at once."""
        if self._is_checked:
            return
        wanted = await _numeric(address)
        servers = await self._api.servers(self._backend)
        goal = _goal(servers, wanted, self._api.where, self._backend)
        await self._set(servers, goal, expected=before.value)

    async def cut(self, address: Address) -> int:
        """End the sessions to every other server, and see that they end."""
        wanted = await _numeric(address)
        others = [one for one in await self._api.servers(self._backend) if one.address != wanted]
        for one in others:
            if one.sessions:
                await self._api.end_sessions(self._backend, one.name)
        deadline = time.monotonic() + _EMPTY_SECONDS
        while any(one.sessions for one in await self._api.servers(self._backend) if one.address != wanted):
            if time.monotonic() > deadline:
                raise Unreachable(f"{self._api.where}: sessions to other servers than {address} do not end")
            await asyncio.sleep(_LOOK_SECONDS)
        return sum(one.sessions for one in others)

    async def verify(self, address: Address) -> Sequence[RouteCheck]:
        """Whether new clients are led to ``address`` alone, it is up by its check, and nobody is left elsewhere."""
        wanted = await _numeric(address)
        servers = await self._api.servers(self._backend)
        state = _state(servers)
        left = sum(one.sessions for one in servers if one.address != wanted)
        return (
            RouteCheck(
                name="backend",
                is_ok=state.addresses == (wanted,),
                seen=", ".join(map(str, state.addresses)) or "no server takes clients",
                wanted=str(wanted),
                remedy=f"see what its health check says: show servers state {self._backend}",
                is_advice=self._is_checked,
            ),
            RouteCheck(
                name="sessions", is_ok=left == 0, seen=f"{left} to other servers", wanted="0",
                remedy=f"shutdown sessions server {self._backend}/NAME", is_advice=True,
            ),
        )  # fmt: skip

    async def undo(self, address: Address, *, before: RouteState) -> None:
        """Give every server the state and address that it had."""
        if self._is_checked:
            return
        wanted = await _numeric(address)
        servers = await self._api.servers(self._backend)
        await self._set(servers, before.value, expected=_goal(servers, wanted, self._api.where, self._backend))

    async def _set(self, servers: Sequence[BackendServer], goal: str, *, expected: str) -> None:
        """Towards ``goal`` from ``expected``, or from anything between the two, where a crash may have left it."""
        old, new = _parsed(expected), _parsed(goal)
        for one in servers:
            if (one.address, one.state) not in (old.get(one.name), new.get(one.name)):
                raise RouteChanged(
                    f"{self._api.where}: {self._backend}/{one.name} is {one.address}/{one.state}, neither as it was nor as "
                    "it is to be",
                    hint="somebody else changed it; look, and plan again",
                    context={"route": self.name, "server": one.name},
                )
        closing = [one for one in servers if new.get(one.name, (None, "ready"))[1] != "ready"]
        for one in [*closing, *(one for one in servers if one not in closing)]:
            address, state = new.get(one.name, (one.address, one.state))
            if address != one.address:
                await self._api.set_address(self._backend, one.name, address)
            if state != one.state:
                await self._api.set_state(self._backend, one.name, state)


def _goal(servers: Sequence[BackendServer], wanted: Address, where: str, backend: str) -> str:
    if wanted not in [one.address for one in servers]:
        if len(servers) != 1:
            raise UsageError(
                f"{where}: backend {backend} has no server at {wanted}",
                hint="its servers are " + ", ".join(f"{one.name} at {one.address}" for one in servers),
            )
        return _words([(servers[0].name, wanted, "ready")])
    return _words([(one.name, one.address, "ready" if one.address == wanted else "maint") for one in servers])


def _state(servers: Sequence[BackendServer]) -> RouteState:
    return RouteState(
        addresses=tuple(one.address for one in servers if one.state == "ready" and one.is_up),
        value=_words([(one.name, one.address, one.state) for one in servers]),
    )


def _words(servers: Sequence[tuple[str, Address, str]]) -> str:
    return ", ".join(f"{name}={address}/{state}" for name, address, state in servers)


def _parsed(value: str) -> dict[str, tuple[Address, str]]:
    """The opposite of ``_words``."""
    found = {}
    for one in value.split(", ") if value else ():
        name, _, rest = one.partition("=")
        address, _, state = rest.rpartition("/")
        found[name] = (Address.parse(address, default_port=0), state)
    return found


async def _numeric(address: Address) -> Address:
    """As HAProxy knows it. Raises: Unreachable where the name is not known."""
    try:
        async with asyncio.timeout(_LOOK_UP_SECONDS):
            (first, *_) = await resolve(address)
    except (OSError, TimeoutError) as error:
        raise Unreachable(
            f"the name {address.host} cannot be looked up: {error}", hint="see that this machine resolves it"
        ) from error
    return Address(first.host, first.port)
