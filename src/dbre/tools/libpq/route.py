"""A list of hosts in the clients' own connection string as a route: nothing is turned, and everything depends on the list."""

from collections.abc import Sequence

from dbre.core.fleet import Address
from dbre.core.secrets import Secret
from dbre.ports.route import RouteCheck, RouteState
from dbre.tools.libpq.connection_string import ConnectionString, parse

__all__ = ["WRITING", "LibpqRoute"]

WRITING = frozenset({"read-write", "primary", "master"})  # values of target_session_attrs that lead to the primary


class LibpqRoute:
    """Clients that try each host until one lets them write. ``dsn`` is read each time: it may be rotated."""

    kind = "libpq"
    can_pause = False

    def __init__(self, name: str, dsn: Secret) -> None:
        self.name = name
        self._dsn = dsn

    async def current(self) -> RouteState:
        """The hosts in their order: which of them lets clients write is theirs to find out."""
        client = self._client()
        return RouteState(addresses=client.hosts, value=",".join(map(str, client.hosts)))

    async def check(self, address: Address) -> Sequence[RouteCheck]:
        """Whether the list leads to ``address`` once it is primary."""
        client = self._client()
        wanted = client.options.get("target_session_attrs", "any")
        hosts = ", ".join(map(str, client.hosts)) or "none"
        return (
            RouteCheck(
                name="hosts", is_ok=address in client.hosts, seen=hosts, wanted=f"{address} among them",
                remedy="add it to the connection string of the application, and start it again",
            ),
            RouteCheck(
                name="target_session_attrs", is_ok=wanted in WRITING, seen=wanted, wanted="read-write",
                remedy="add target_session_attrs=read-write (pgJDBC: targetServerType=primary): any takes a replica, too",
            ),
        )  # fmt: skip

    async def pause(self, *, limit_seconds: float) -> None:
        """Nobody is held back."""

    async def resume(self) -> None:
        """Nobody is held back."""

    async def point_to(self, address: Address, *, before: RouteState) -> None:
        """Clients find it by themselves."""

    async def cut(self, address: Address) -> int:  # noqa: ARG002 -- as every route
        """Clients go directly; the server ends them."""
        return 0

    async def verify(self, address: Address) -> Sequence[RouteCheck]:
        """As ``check``."""
        return await self.check(address)

    async def undo(self, address: Address, *, before: RouteState) -> None:
        """Nothing was turned."""

    def _client(self) -> ConnectionString:
        return parse(self._dsn.reveal())
