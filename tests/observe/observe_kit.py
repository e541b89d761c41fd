"""What the tests of the prober and the exporter share: fleets made in code, sinks that remember, servers that misbehave."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from dbre.app import Engines
from dbre.capabilities.observe import ProbeDocument, Prober
from dbre.core.clock import Clock, SystemClock
from dbre.core.fleet import Address, Cluster, Endpoint, EndpointPurpose, Fleet, Instance, TlsMode
from dbre.core.secrets import Secret
from dbre.lab.server import LabServer
from dbre.ports.probe import Outcome, ProbeObservation

WRITE, READ, REPLICA = EndpointPurpose.WRITE, EndpointPurpose.READ, EndpointPurpose.REPLICA


def settings(interval: float = 1.0, *, total: float | None = None, **more: object) -> ProbeDocument:
    total = total or interval * 0.7
    values: dict[str, object] = {
        "interval": timedelta(seconds=interval),
        "total_timeout": timedelta(seconds=total),
        "connect_timeout": timedelta(seconds=total * 0.9),
        "statement_timeout": timedelta(seconds=total * 0.6),
    }
    return ProbeDocument.model_validate(values | more)


def cluster(
    name: str,
    addresses: Sequence[Address],
    *,
    purposes: Sequence[EndpointPurpose] = (WRITE,),
    user: str | None = "probe",
    password: Secret | None = None,
    database: str | None = "postgres",
    engine: str = "postgresql",
) -> Cluster:
    return Cluster(
        name=name,
        environment="test",
        engine=engine,
        instances=tuple(Instance(name=f"{name}-{n}", cluster=name, address=a) for n, a in enumerate(addresses, 1)),
        endpoints=tuple(Endpoint(cluster=name, purpose=one, addresses=tuple(addresses)) for one in purposes),
        databases=(database,) if database else (),
        user=user,
        password=password,
        tls=TlsMode.DISABLE,
        tls_ca_file=None,
    )


def cluster_on(name: str, servers: Sequence[LabServer], purposes: Sequence[EndpointPurpose] = (WRITE,)) -> Cluster:
    return cluster(
        name,
        [one.address for one in servers],
        purposes=purposes,
        user=servers[0].superuser,
        password=servers[0].password,
        database=servers[0].default_database,
        engine=servers[0].engine,
    )


class Record:
    """A running prober and all that it said."""

    def __init__(self) -> None:
        self.observations: list[ProbeObservation] = []
        self.events: list[tuple[str, str, dict[str, object]]] = []
        self.arrived: list[float] = []
        self.prober: Prober | None = None

    def sink(self, observation: ProbeObservation) -> None:
        self.observations.append(observation)
        self.arrived.append(time.monotonic())

    async def event(self, kind: str, subject: str, data: dict[str, object]) -> None:
        await asyncio.sleep(0)
        self.events.append((kind, subject, dict(data)))

    def of(self, cluster: str, purpose: EndpointPurpose = WRITE) -> list[ProbeObservation]:
        found = [one for one in self.observations if one.cluster == cluster and one.purpose is purpose]
        return sorted(found, key=lambda one: one.scheduled_at)

    def outcomes(self, cluster: str, purpose: EndpointPurpose = WRITE) -> list[Outcome]:
        return [one.outcome for one in self.of(cluster, purpose)]

    def kinds(self, subject: str) -> list[str]:
        return [kind for kind, about, _ in self.events if about == subject]

    async def until(self, holds: Callable[[], bool], *, seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"did not happen within {seconds} s; last: {self.observations[-5:]}"
            await asyncio.sleep(0.02)


@asynccontextmanager
async def probing(
    *clusters: Cluster, interval: float = 1.0, total: float | None = None, clock: Clock | None = None, **more: object
) -> AsyncIterator[Record]:
    """A prober that runs inside the block."""
    record = Record()
    record.prober = Prober(
        fleet=Fleet(clusters=clusters),
        engines=Engines(),
        clock=clock or SystemClock(),
        settings=settings(interval, total=total, **more),
        sink=record.sink,
        events=record.event,
    )
    task = asyncio.create_task(record.prober.run())
    try:
        yield record
    finally:
        assert not task.done() or task.cancelled(), f"the prober ended by itself: {task.exception()!r}"
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def listener(*, close_at_once: bool = False) -> AsyncIterator[Address]:
    """A server that accepts connections and never says a word, or hangs up at once."""
    writers: list[asyncio.StreamWriter] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        if close_at_once:
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, backlog=1024)
    try:
        yield Address("127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


def refusing() -> Address:
    """An address of this machine where nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return Address("127.0.0.1", one.getsockname()[1])
