"""What is asked of a fleet of probe clients."""

import re
from dataclasses import dataclass

from dbre.core.errors import UsageError
from dbre.core.fleet import Address
from dbre.core.text import quoted
from dbre.ports.client_work import ClientWorkload

__all__ = ["ProbeSpec", "Vantage"]

HIGHEST_RATE = 5000.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_MODELS = {"serializable": "serializable", "repeatable-read": "snapshot-isolation", "read-committed": "read-committed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Vantage:
    """From where clients look: a network namespace of this machine (``ip netns``), or the one that dbre is in."""

    name: str
    namespace: str | None = None

    def __post_init__(self) -> None:
        for text in (self.name, self.namespace or "x"):
            if not _NAME.fullmatch(text):
                raise UsageError(f"{quoted(text, limit=80)} is no name of a network namespace", hint="see ip netns list")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSpec:
    """How clients act. ``rate`` is that of all of them together; ``seconds`` None: until they are told to end.

    ``addresses`` empty: those of the cluster's endpoint for writes.
    """

    workload: ClientWorkload = ClientWorkload.LEDGER
    is_open_loop: bool = True
    rate: float = 50.0
    seconds: float | None = 60.0
    vantages: tuple[Vantage, ...] = (Vantage(name="here"),)
    clients: int = 1  # processes of each vantage point
    connections: int = 4  # of each process
    deadline_seconds: float = 2.0
    connect_seconds: float = 1.0
    settle_seconds: float = 60.0  # after the end: until somebody takes writes again and can be read
    isolation: str = "serializable"
    addresses: tuple[Address, ...] = ()

    @property
    def default_model(self) -> str | None:
        """What is promised unless somebody says otherwise; None: what the checker takes for it."""
        if self.workload is ClientWorkload.LEDGER:
            return "single-primary"
        return _MODELS[self.isolation] if self.workload is ClientWorkload.LIST_APPEND else None

    def __post_init__(self) -> None:
        """Refuse what cannot be. Raises: UsageError."""
        for what, value, least, most in (
            ("a rate of {} acts/s", self.rate, 0.01, HIGHEST_RATE),
            ("a duration of {} s", self.seconds if self.seconds is not None else 1, 0.1, 7 * 86_400),
            ("{} client processes", self.clients * len(self.vantages), 1, 64),
            ("{} connections of each client", self.connections, 1, 64),
            ("a deadline of {} s", self.deadline_seconds, 0.05, 600),
            ("a connect timeout of {} s", self.connect_seconds, 0.05, 600),
            ("{} s for settling", self.settle_seconds, 1, 86_400),
        ):
            if not least <= value <= most:
                raise UsageError(f"{what.format(f'{value:g}')}: it takes {least:g} to {most:g}")
        if self.isolation not in _MODELS:
            raise UsageError(f"{quoted(self.isolation, limit=60)} is no isolation level", hint=f"known: {', '.join(_MODELS)}")
        if len({one.name for one in self.vantages}) < len(self.vantages):
            raise UsageError("a vantage point is named twice", hint="name each network namespace once")
