"""What a lab is asked to be, and what it is."""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from dbre.core.errors import UsageError
from dbre.core.fleet import Address
from dbre.core.text import closest, quoted
from dbre.ports.lease_settings import PRESETS
from dbre.ports.session import Role

__all__ = ["MOST_REPLICAS", "LabEngine", "LabSpec", "ServerState", "ServerStatus", "check_name"]

MOST_REPLICAS = 8
SENTINELS = (1, 3, 5, 7)
MOST_OBSERVERS = 9
LONGEST_ROUND_TRIP_SECONDS = 5.0
_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,30}[a-z0-9])?")


class LabEngine(StrEnum):
    """What a lab can run."""

    POSTGRESQL = "postgresql"
    MARIADB = "mariadb"
    REDIS = "redis"


class ServerState(StrEnum):
    """What a server of a lab does now."""

    RUNNING = "running"
    FROZEN = "frozen"
    STOPPED = "stopped"


def check_name(name: str) -> str:
    """A name that is safe as a directory, a cluster and a host part. Raises: UsageError."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot name a lab", hint="use at most 32 lower-case letters, digits and inner hyphens: orders-2"
        )
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class LabSpec:
    """One primary and its replicas. ``bindir`` and ``version`` None: the newest that is installed.

    ``patroni`` names a preset: Patroni and an etcd of three members then choose the primary; ``sentinels`` is how many choose
    that of Redis. With ``network`` each server is in a network namespace of its own, which needs root; ``sites`` are places
    that take turns, ``round_trip_seconds`` apart; ``observers`` are namespaces beside the servers, for ``dbre ha observe``.
    """

    name: str = "lab"
    engine: LabEngine = LabEngine.POSTGRESQL
    replicas: int = 1
    version: int | None = None
    bindir: Path | None = None
    durable: bool = True
    patroni: str | None = None
    sentinels: int = 0
    network: bool = False
    sites: int = 1
    round_trip_seconds: float = 0.0
    observers: int = 0

    def __post_init__(self) -> None:
        check_name(self.name)
        if not 0 <= self.replicas <= MOST_REPLICAS:
            raise UsageError(f"{self.replicas} replicas are not possible: 0 to {MOST_REPLICAS}", hint="write --replicas 1")
        if self.version is not None and self.engine is not LabEngine.POSTGRESQL:
            raise UsageError(f"a version can be chosen for postgresql only, not for {self.engine}", hint="leave out --version")
        if self.patroni is not None and self.patroni not in PRESETS:
            near = closest(self.patroni, list(PRESETS))
            hint = f"did you mean {near}?" if near else f"the presets are {', '.join(PRESETS)}"
            raise UsageError(f"{quoted(self.patroni, limit=100)} is not a preset of Patroni's settings", hint=hint)
        if self.patroni is not None and self.engine is not LabEngine.POSTGRESQL:
            raise UsageError(f"Patroni runs postgresql only, not {self.engine}", hint="leave out --patroni")
        if self.sentinels and self.engine is not LabEngine.REDIS:
            raise UsageError(f"Sentinels choose the primary of redis only, not of {self.engine}", hint="leave out --sentinels")
        if self.sentinels and self.sentinels not in SENTINELS:
            raise UsageError(
                f"{self.sentinels} Sentinels are not possible: 1, 3, 5 or 7", hint="write --sentinels 3: a majority decides"
            )
        if not 1 <= self.sites <= 1 + self.replicas:
            hint = "one server at least is in each: fewer sites, or more replicas"
            raise UsageError(f"{self.sites} sites are not possible with {1 + self.replicas} servers", hint=hint)
        if not 0 <= self.round_trip_seconds <= LONGEST_ROUND_TRIP_SECONDS:
            raise UsageError(f"a round trip takes 0 to {LONGEST_ROUND_TRIP_SECONDS:.0f} s", hint="write --round-trip 20ms")
        if self.round_trip_seconds and self.sites == 1:
            raise UsageError("a round trip needs two sites to lie between", hint="add --sites 2")
        self._check_observers()

    def _check_observers(self) -> None:
        if not 0 <= self.observers <= MOST_OBSERVERS:
            raise UsageError(f"{self.observers} observers are not possible: 0 to {MOST_OBSERVERS}", hint="write --observers 2")
        if self.observers and not self.is_networked:
            raise UsageError("observers need paths of their own: on loopback all see the same", hint="add --network")
        if self.observers and (self.sentinels or not self.replicas):
            why = "Sentinels decide here" if self.sentinels else "there is no replica to fail over to"
            raise UsageError(f"observers have nothing to decide: {why}", hint="leave out --observers")

    @property
    def is_networked(self) -> bool:
        """Whether its servers have addresses of their own."""
        return self.network or self.sites > 1

    @property
    def server_names(self) -> tuple[str, ...]:
        """The primary and its replicas: ``lab-1``, ``lab-2``."""
        return tuple(f"{self.name}-{1 + number}" for number in range(1 + self.replicas))

    @property
    def observer_names(self) -> tuple[str, ...]:
        """Of the observers and of their hosts: ``watch-1``, ``watch-2``."""
        return tuple(f"watch-{1 + number}" for number in range(self.observers))


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """One server of a lab at this moment."""

    lab: str
    name: str
    engine: str
    version: str
    role: Role | None  # None: no database
    state: ServerState
    address: Address | None
    pid: int | None
    processes: int
    directory: Path
