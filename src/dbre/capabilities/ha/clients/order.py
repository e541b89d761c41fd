"""What a client process is told on its standard input; the only place where a password passes, and it is never written down."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Self

from dbre.core.fleet import Address, TlsMode
from dbre.core.secrets import Secret
from dbre.ports.client_work import ClientWorkload
from dbre.ports.engine import Access, Timeouts

__all__ = ["ClientOrder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOrder:
    """One client: whom it asks, what, how often, and where it writes down what it was told."""

    run: str
    number: int  # of the client in its run
    name: str  # of its vantage point, with its number
    engine: str
    addresses: tuple[tuple[str, int], ...]  # in the order in which a connection tries them
    user: str | None
    password: str | None
    database: str | None
    tls: str
    tls_ca_file: str | None
    workload: str
    isolation: str
    is_open_loop: bool
    rate: float  # acts a second
    connections: int
    deadline_seconds: float  # of one act, from the moment at which it is due
    connect_seconds: float  # of one address
    seconds: float | None  # None: until it is told to end
    origin_ns: int  # of the monotonic clock: where times of the history begin
    file: str

    def line(self) -> bytes:
        """As one line of JSON. It holds the password: give it to the client's pipe, and to nobody else."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Self:
        """The opposite of ``line``."""
        given: dict[str, Any] = json.loads(line)
        addresses = tuple((host, port) for host, port in given.pop("addresses"))
        return cls(addresses=addresses, **given)

    def accesses(self) -> list[Access]:
        """How each address is logged in to."""
        return [
            Access(
                address=Address(host, port),
                user=self.user,
                password=Secret(self.password) if self.password is not None else None,
                database=self.database,
                tls=TlsMode(self.tls),
                tls_ca_file=self.tls_ca_file,
                timeouts=Timeouts(connect_seconds=self.connect_seconds, statement_seconds=self.deadline_seconds),
                application_name=f"dbre:probe:{self.run}",
            )
            for host, port in self.addresses
        ]

    @property
    def kind(self) -> ClientWorkload:
        """The workload as a value."""
        return ClientWorkload(self.workload)
