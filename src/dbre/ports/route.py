"""How clients reach the primary, and how that way is turned to another one: DNS, HAProxy, PgBouncer, lists of hosts.

A switchover or failover is handed a sequence of routes, possibly empty. Its plan keeps the ``current`` state of each; the act
is ``pause`` (those that can), the change of primary, ``point_to``, ``resume``, ``verify``; taking it back is ``undo`` with the
state from the plan. Every method may be called again after a crash, and ends within a limit of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

from dbre.core.errors import Conflict, DbreError, ExitCode
from dbre.core.fleet import Address

__all__ = ["ExpiringRoute", "Route", "RouteChanged", "RouteCheck", "RoutePauseTimeout", "RouteState"]


class RouteChanged(Conflict):
    """The route leads neither where it did when it was looked at nor where it was to lead: somebody else turned it."""

    code = "route.changed"


class RoutePauseTimeout(DbreError):
    """Transactions did not end within the limit; clients go on as before, for the route was resumed."""

    code = "route.pause_timeout"
    exit_code = ExitCode.REFUSED
    retryable = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteState:
    """Where a route leads at one moment."""

    addresses: tuple[Address, ...]  # where new clients are led, in the order in which they are tried
    value: str  # what the change compares before it acts, in the words of the route: records, a server's state, a file's text
    is_paused: bool | None = None  # None: this route cannot hold clients back
    linger_seconds: float = 0.0  # how long clients may go on using what they were told before (DNS: the TTL)

    def as_document(self) -> dict[str, Any]:
        """As a plan or the journal of an operation holds it."""
        return {
            "addresses": [[one.host, one.port] for one in self.addresses],
            "value": self.value,
            "is_paused": self.is_paused,
            "linger_seconds": self.linger_seconds,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """The opposite of ``as_document``."""
        return cls(
            addresses=tuple(Address(str(host), int(port)) for host, port in document["addresses"]),
            value=str(document["value"]),
            is_paused=document["is_paused"],
            linger_seconds=float(document["linger_seconds"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteCheck:
    """One thing that was looked at before or after a route is turned."""

    name: str  # stable: admin_console, ttl_passed, authoritative, resolver 192.0.2.1
    is_ok: bool
    seen: str  # what was found, with units
    wanted: str  # what it should be
    remedy: str | None = None  # what to do where it is not
    is_advice: bool = False  # where it is not ok: no reason to refuse, and afterwards none to go back; time may mend it


class Route(Protocol):
    """One way by which clients reach the primary.

    Raises, everywhere: Unreachable (nobody answered in time), Denied (login, key, file), Unsupported.
    """

    @property
    def name(self) -> str:
        """Unique among the routes of its cluster, as the configuration calls it."""
        ...

    @property
    def kind(self) -> str:
        """``pgbouncer``, ``haproxy``, ``dns``, ``route53``, ``libpq``."""
        ...

    @property
    def can_pause(self) -> bool:
        """Whether clients can be held back without an error while the primary changes."""
        ...

    async def current(self) -> RouteState:
        """Where it leads now, by the word of what serves it."""
        ...

    async def check(self, address: Address) -> Sequence[RouteCheck]:
        """Whether it could be turned to ``address`` now; only looks."""
        ...

    async def pause(self, *, limit_seconds: float) -> None:
        """Hold new transactions back and wait for those that run; nothing where it cannot pause or is paused.

        Raises: RoutePauseTimeout after the limit; clients then go on, for the route is resumed first.
        """
        ...

    async def resume(self) -> None:
        """Let clients go on; nothing where they are not held back."""
        ...

    async def point_to(self, address: Address, *, before: RouteState) -> None:
        """Lead clients to ``address`` if the route still leads where ``before`` says; nothing where it leads there already.

        Raises: RouteChanged where somebody else turned it in between.
        """
        ...

    async def cut(self, address: Address) -> int:
        """End what still goes through this route to anywhere but ``address``; how many connections that were.

        For a primary that is dead or fenced: clients that wait for it get an error at once, and come back.
        """
        ...

    async def verify(self, address: Address) -> Sequence[RouteCheck]:
        """Whether everybody who is asked leads to ``address`` by now; only looks, and may be asked until all is well."""
        ...

    async def undo(self, address: Address, *, before: RouteState) -> None:
        """Put ``before`` back if the route leads to ``address``; nothing where it is back already. Raises: RouteChanged."""
        ...


@runtime_checkable
class ExpiringRoute(Protocol):
    """A route whose answers clients keep for a while, which can be shortened beforehand."""

    async def set_ttl(self, ttl: float) -> float:
        """Let answers be kept for ``ttl`` seconds; for how long they could until now: that long the old ones still count.

        Raises: RouteChanged, and what a ``Route`` raises.
        """
        ...
