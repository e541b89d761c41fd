"""Probe clients of one cluster: started, let act, ended, and the truth that they tell."""

import asyncio
import contextlib
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from dbre.capabilities.ha.clients.final import read_final
from dbre.capabilities.ha.clients.ground import ClientGround, HistoryVerdict
from dbre.capabilities.ha.clients.order import ClientOrder
from dbre.capabilities.ha.clients.reach import Reach
from dbre.capabilities.ha.clients.records import acts_of, make_history, newest_nodes, write_merged
from dbre.capabilities.ha.clients.spec import ProbeSpec, Vantage
from dbre.capabilities.ha.clients.truth import ClientTruth, tell_truth
from dbre.capabilities.ha.clients.worker import Worker
from dbre.core.errors import DbreError, PrecheckFailed, Unreachable, Unsupported
from dbre.core.fleet import Address, Cluster, EndpointPurpose
from dbre.ports.engine import Access, Timeouts

__all__ = ["ProbeFleet", "Pulse", "probe_fleet"]

_NANO = 1e9
_PREPARE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """How clients are now: acts so far, and how long the youngest acknowledgement of all is ago."""

    acknowledged: int
    failed: int
    unknown: int
    silent_seconds: float | None  # None: none came yet
    last_node: str | None


class _State(Enum):
    NEW = "new"
    BEGUN = "begun"
    OVER = "over"


class ProbeFleet:
    """Client processes of one cluster over one run; ``probe_fleet`` starts it, ``finish`` ends it and tells the truth."""

    def __init__(self, ground: ClientGround, cluster: Cluster, spec: ProbeSpec, *, history: Path) -> None:
        self._ground, self._cluster, self.spec = ground, cluster, spec
        self.history = history
        self.run = secrets.token_hex(6)
        self._parts = history.with_name(f"{history.name}.{self.run}.parts")
        self._workers: list[Worker] = []
        self._origin = time.monotonic_ns()
        self._marks: list[float] = []
        self._state = _State.NEW

    @property
    def pulse(self) -> Pulse:
        """How clients are, a quarter of a second ago."""
        newest = max(self._workers, key=lambda one: one.last_ack_seconds or -1.0, default=None)
        last = newest.last_ack_seconds if newest is not None else None
        return Pulse(
            acknowledged=sum(one.acked for one in self._workers),
            failed=sum(one.failed for one in self._workers),
            unknown=sum(one.unknown for one in self._workers),
            silent_seconds=self.now - last if last is not None else None,
            last_node=newest.last_node if newest is not None else None,
        )

    @property
    def now(self) -> float:
        """The time of the history, in seconds."""
        return (time.monotonic_ns() - self._origin) / _NANO

    def mark(self) -> float:
        """Note that something is done to the cluster now: ``first_ack_seconds`` counts from the first mark."""
        self._marks.append(self.now)
        return self._marks[-1]

    async def wait(self) -> None:
        """Wait until every client has come to the end of its time."""
        await asyncio.gather(*(one.end(is_told=False) for one in self._workers))

    async def begin(self) -> None:
        """Make the tables, then start every client. Raises: Unreachable, Denied, Unsupported, ClientDied."""
        first = Reach.to(self._ground.engines, self._cluster.engine, self._accesses())
        unknown = first.ports and self.spec.workload not in first.ports[0].workloads
        if unknown:
            able = ", ".join(sorted(first.ports[0].workloads))
            raise Unsupported(f"{self._cluster.engine} has no workload {self.spec.workload}", hint=f"it has: {able}")
        make_history(self.history)
        self._state = _State.BEGUN
        await self._prepare(first)
        try:
            self._parts.mkdir(mode=0o700)
        except OSError as error:
            raise PrecheckFailed(f"{self._parts} cannot be made: {error.strerror}", hint="name another --history") from error
        self._origin = time.monotonic_ns()
        places = [(vantage, number) for vantage in self.spec.vantages for number in range(self.spec.clients)]
        for index, (vantage, number) in enumerate(places):
            order = self._order(index, vantage, number, share=len(places))
            self._workers.append(await Worker.start(self._ground.program, order, namespace=vantage.namespace))
        await asyncio.gather(*(one.wait_until_on() for one in self._workers))

    async def finish(self, *, model: str | None = None) -> ClientTruth:
        """End the clients, read what is there, judge. The history stays; the rows of the run go."""
        ended = await asyncio.gather(*(one.end() for one in self._workers))
        warnings = [one for one in ended if one is not None]
        self._state = _State.OVER
        write_merged([Path(one.order.file) for one in self._workers], self.history)
        acts = acts_of(self.history)
        final = self._parts / "final.jsonl"
        warnings += await read_final(
            acts,
            spec=self.spec,
            run=self.run,
            reach=self._reach_finally(newest_nodes(acts)),
            file=final,
            origin_ns=self._origin,
        )
        with self.history.open("ab") as history, contextlib.suppress(FileNotFoundError):
            history.write(final.read_bytes())
        verdict = self._judge(model, has_final=not warnings)
        names = {str(one.address): one.name for one in self._cluster.instances}
        truth = tell_truth(
            acts_of(self.history),
            ground=self._ground,
            workload=self.spec.workload,
            verdict=verdict,
            until=max((act.ended_at or act.due_at for act in acts), default=0.0),
            names=names,
            since=self._marks[0] if self._marks else None,
            warnings=warnings,
        )
        shutil.rmtree(self._parts, ignore_errors=True)
        return truth

    async def remove(self) -> None:
        """Delete the rows of the run. Raises: Unreachable where nobody takes writes."""
        reasons = []
        for port in self._reach_finally().ports:
            try:
                session = await port.connect()
                session.abort()
                return await port.remove(self.run)
            except DbreError as error:
                reasons.append(error.message)
        raise Unreachable(f"the rows of run {self.run} stay where they are: {'; '.join(reasons)}")

    async def kill(self) -> None:
        """Leave no process and no part of a history that was not finished."""
        await asyncio.gather(*(one.kill() for one in self._workers))
        if self._state is _State.BEGUN:  # nobody came to finish it: what clients saw is kept all the same
            write_merged([Path(one.order.file) for one in self._workers], self.history)
            if not self.history.stat().st_size:
                self.history.unlink()
        shutil.rmtree(self._parts, ignore_errors=True)

    def _judge(self, model: str | None, *, has_final: bool) -> HistoryVerdict:
        if self.history.stat().st_size == 0:
            return HistoryVerdict(verdict="unknown", model=model or "", unknown=["no client did anything"])
        found = self._ground.check(self.history, workload=self.spec.workload.value, model=model or self.spec.default_model)
        if has_final or found.verdict != "ok":
            return found
        return HistoryVerdict(
            verdict="unknown",
            model=found.model,
            anomalies=found.anomalies,
            unknown=[*found.unknown, "not all clients, or not the end, could be heard"],
            facts=found.facts,
        )

    async def _prepare(self, reach: Reach) -> None:
        """On the first address that takes writes."""
        reasons: list[str] = []
        async with asyncio.timeout(_PREPARE_SECONDS):
            for port in reach.ports:
                try:
                    session = await port.connect()
                except DbreError as error:
                    reasons.append(error.message)
                    continue
                session.abort()
                return await port.prepare(self.run, self.spec.workload)
        raise Unreachable(f"no address of {self._cluster.name} takes writes: {'; '.join(reasons)}", hint="dbre ha status")

    def _addresses(self) -> tuple[Address, ...]:
        if self.spec.addresses:
            return self.spec.addresses
        endpoint = next((one for one in self._cluster.endpoints if one.purpose is EndpointPurpose.WRITE), None)
        return endpoint.addresses if endpoint is not None else tuple(one.address for one in self._cluster.instances)

    def _accesses(self, *, seconds: float | None = None) -> list[Access]:
        timeouts = Timeouts(
            connect_seconds=seconds or self.spec.connect_seconds, statement_seconds=seconds or self.spec.deadline_seconds
        )
        name = f"dbre:probe:{self.run}"
        return [Access.to(self._cluster, one, timeouts=timeouts, application_name=name) for one in self._addresses()]

    def _reach_finally(self, nodes: Sequence[str] = ()) -> Reach:
        """With the addresses of ``nodes`` first: where two take writes, the one that came last is the primary."""
        rank = {node: place for place, node in enumerate(nodes)}
        accesses = sorted(self._accesses(seconds=10.0), key=lambda one: rank.get(str(one.address), len(rank)))
        return Reach.to(self._ground.engines, self._cluster.engine, accesses)

    def _order(self, index: int, vantage: Vantage, number: int, *, share: int) -> ClientOrder:
        cluster, spec = self._cluster, self.spec
        name = f"{vantage.name}-{number}"
        return ClientOrder(
            run=self.run,
            number=index,
            name=name,
            engine=cluster.engine,
            addresses=tuple((one.host, one.port) for one in self._addresses()),
            user=cluster.user,
            password=cluster.password.reveal() if cluster.password is not None else None,
            database=cluster.databases[0] if cluster.databases else None,
            tls=cluster.tls.value,
            tls_ca_file=cluster.tls_ca_file,
            workload=spec.workload.value,
            isolation=spec.isolation,
            is_open_loop=spec.is_open_loop,
            rate=spec.rate / share,
            connections=spec.connections,
            deadline_seconds=spec.deadline_seconds,
            connect_seconds=spec.connect_seconds,
            seconds=spec.seconds,
            origin_ns=self._origin,
            file=str(self._parts / f"{name}.jsonl"),
        )


@asynccontextmanager
async def probe_fleet(ground: ClientGround, cluster: Cluster, spec: ProbeSpec, *, history: Path) -> AsyncIterator[ProbeFleet]:
    """Clients that act while the block runs; call ``finish`` in it. Nothing is left of them afterwards, however it ends."""
    fleet = ProbeFleet(ground, cluster, spec, history=history)
    try:
        await fleet.begin()
        yield fleet
    finally:
        await fleet.kill()
