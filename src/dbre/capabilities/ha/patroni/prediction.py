"""How long an outage will last by the settings: bounds for each class of fault, made of what has to pass one after the other.

The shape is that of Pigsty's published model; the constants were measured on one busy machine and are generous.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from dbre.ports.lease_settings import LeaseSettings, SynchronousMode

__all__ = ["STORE_ELECTION_SECONDS", "ClientTimes", "Predicted", "predictions"]

_PROMOTE_SECONDS = 2.0
STORE_ELECTION_SECONDS = 7.0
"""Etcd's own limit for a request during which it chooses a leader (``ReqTimeout``): 5 s and twice an election timeout of 1 s.

Its new leader counts all leases anew. Measured: 5.6 to 6.1 s more until the promotion.
"""
_FEWEST_CONNECT_SECONDS = 2.0  # libpq takes a shorter connect_timeout for this
_LOCAL_RESTART_SECONDS = 5.0  # crash recovery of a small log; more log, more time


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTimes:
    """How clients notice. ``tcp_user_timeout_seconds`` None: only when the kernel gives up, after a quarter of an hour."""

    tcp_user_timeout_seconds: float | None = None
    connect_timeout_seconds: float = _FEWEST_CONNECT_SECONDS
    dead_hosts: int = 1  # that are tried before the living one

    @property
    def black_hole_seconds(self) -> float | None:
        """Until a client that waits for an answer from a host that is gone speaks with another one."""
        if self.tcp_user_timeout_seconds is None:
            return None
        return self.tcp_user_timeout_seconds + self.dead_hosts * max(self.connect_timeout_seconds, _FEWEST_CONNECT_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """One class of fault. ``most_seconds`` None: nobody can say when it ends."""

    fault: str
    least_seconds: float
    most_seconds: float | None
    loss: str  # of acknowledged writes
    why: str  # what it is made of


def predictions(
    settings: LeaseSettings, clients: ClientTimes, *, is_failsafe: bool = False, loses_store_leader: bool = False
) -> Iterator[Predicted]:
    """What each class of fault costs clients.

    ``loses_store_leader``: whoever cuts off the primary's machine cuts off the leader of the consensus store with it.
    """
    none = settings.synchronous_mode is not SynchronousMode.OFF
    ttl, loop, retry = float(settings.ttl), float(settings.loop_wait), float(settings.retry_timeout)
    yield _crash(settings, is_lossless=none)
    lease_least, lease_most = ttl - loop, ttl + loop + _PROMOTE_SECONDS
    parts = f"lease {settings.ttl} s, loop {settings.loop_wait} s, promotion up to {_PROMOTE_SECONDS:g} s"
    cut_most = lease_most + (STORE_ELECTION_SECONDS if loses_store_leader else 0.0)
    cut = f"{parts}, a new leader of the store up to {STORE_ELECTION_SECONDS:g} s" if loses_store_leader else parts
    lost = "none" if none else "what the new primary had not received"
    yield Predicted(
        fault="node loss, connections reset", least_seconds=lease_least, most_seconds=lease_most, loss=lost, why=parts
    )
    hidden = clients.black_hole_seconds
    yield Predicted(
        fault="node loss, black hole",
        least_seconds=lease_least,
        most_seconds=None if hidden is None else max(cut_most, hidden),
        loss=lost,
        why=f"{cut}; clients notice "
        + ("when their kernel gives up, after about 15 min" if hidden is None else f"after {hidden:g} s, meanwhile"),
    )
    yield Predicted(
        fault="partition of the primary",
        least_seconds=lease_least,
        most_seconds=cut_most,
        loss="none" if none else f"all that clients beside it write for up to {loop + 2 * retry:g} s",
        why=f"the old primary closes itself within loop_wait + 2 x retry_timeout = {loop + 2 * retry:g} s; then {cut}",
    )
    yield Predicted(
        fault="Patroni frozen, database alive",
        least_seconds=lease_least,
        most_seconds=lease_most,
        loss="none" if none else "two primaries take writes, unless a watchdog kills the old one",
        why=parts,
    )
    closing = loop + 2 * retry
    yield Predicted(
        fault="consensus store lost",
        least_seconds=0.0 if is_failsafe else closing - loop,
        most_seconds=0.0 if is_failsafe else None,
        loss="none",
        why="failsafe_mode: the primary goes on while it reaches all members"
        if is_failsafe
        else f"the primary closes itself within {closing:g} s, until the store is back",
    )


def _crash(settings: LeaseSettings, *, is_lossless: bool) -> Predicted:
    loop, patience = float(settings.loop_wait), float(settings.primary_start_timeout)
    if patience == 0:
        lost = "none" if is_lossless else "what the new primary had not received"
        return Predicted(
            fault="crash of the database",
            least_seconds=0.0,
            most_seconds=loop + _PROMOTE_SECONDS,
            loss=lost,
            why=f"loop {loop:g} s, promotion up to {_PROMOTE_SECONDS:g} s: primary_start_timeout is 0",
        )
    return Predicted(
        fault="crash of the database",
        least_seconds=0.0,
        most_seconds=loop + patience + loop + _PROMOTE_SECONDS,
        loss="none, where it starts again",
        why=f"it is started again where it is, mostly within {loop + _LOCAL_RESTART_SECONDS:g} s; "
        f"after primary_start_timeout = {patience:g} s another one takes its place",
    )
