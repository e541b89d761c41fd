"""Leftovers: faults whose injector is dead, hangs, or lived in an earlier boot, taken back by their state files."""

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from dbre.capabilities.chaos.injection.catalogue import fault_kind
from dbre.capabilities.chaos.injection.injector import take_back
from dbre.capabilities.chaos.injection.local_process import family
from dbre.capabilities.chaos.injection.model import Phase, Sighting
from dbre.capabilities.chaos.injection.order import Order
from dbre.capabilities.chaos.injection.record import Record, read_record, readable_records, sweeping
from dbre.capabilities.chaos.injection.restarting import lives
from dbre.core.clock import Clock
from dbre.core.errors import Conflict, DbreError
from dbre.core.fleet import Fleet
from dbre.core.secrets import prepare_secrets
from dbre.core.text import one_line
from dbre.lab.processes import Process, send
from dbre.ports.engine import EngineRegistry

__all__ = ["Healed", "heal"]

_GRACE = timedelta(seconds=10)  # past its deadline an injector that still lives hangs, or its target does not let go
_KEPT = timedelta(days=1)  # what is gone is kept so long: the operation that it belongs to may still ask
_TRY_SECONDS = 40.0
_DEATH_SECONDS = 5.0
_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Healed:
    """What became of one state file."""

    record: Record
    outcome: str  # reverted, held, stuck
    detail: str

    @property
    def is_left(self) -> bool:
        """Whether the fault may still be there, with nobody who takes it back."""
        return self.outcome == "stuck"


async def heal(
    directory: Path, fleet: Fleet, engines: EngineRegistry, clock: Clock, *, force: bool = False
) -> Sequence[Healed]:
    """Take back every fault that nobody holds; with ``force`` also those that an injector still holds.

    Raises: Conflict where another process heals; RecordUnreadable, once every other one was healed.
    """
    if not directory.exists():  # noqa: ASYNC240 - one look
        return []
    with sweeping(directory) as is_ours:
        if not is_ours:
            raise Conflict(f"another process heals in {directory} at the moment", hint="wait for it, and look again")
        records, unreadable = readable_records(directory)
        found = [await _heal_one(record, directory, fleet, engines, clock, force) for record in records]
        if unreadable:
            raise unreadable[0]
        return [one for one in found if one is not None]


async def _heal_one(
    record: Record, directory: Path, fleet: Fleet, engines: EngineRegistry, clock: Clock, force: bool
) -> Healed | None:
    if record.phase in (Phase.REVERTED, Phase.FAILED):
        if clock.now() > record.ends_at + _KEPT:
            record.remove(directory)
        return None
    holder = record.holder()
    if holder is not None:
        if not force and not holder.is_stopped and clock.now() < record.ends_at + _GRACE:
            return Healed(record=record, outcome="held", detail=f"process {holder.pid} holds it until {record.until}")
        await _kill(holder)
        record = read_record(record.path(directory))  # its last word
    sighting = await _take_back(record, fleet, engines)
    if sighting.is_on:
        return Healed(record=record, outcome="stuck", detail=sighting.detail)
    record.at(Phase.REVERTED, detail=sighting.detail, why="it was healed").write(directory)
    return Healed(record=record, outcome="reverted", detail=sighting.detail)


async def _take_back(record: Record, fleet: Fleet, engines: EngineRegistry) -> Sighting:
    try:
        async with asyncio.timeout(_TRY_SECONDS):
            cluster = fleet.cluster(record.cluster)
            await prepare_secrets([cluster.password])
            order = Order.on(
                cluster,
                fleet.instance(record.instance),
                id=record.id,
                operation=record.operation,
                fault=record.fault,
                parameters=record.parameters,
                seconds=0.0,
                directory="",
            )
            return await take_back(fault_kind(record.fault).make(order.scene(engines)), record.inverse)
    except TimeoutError:
        return Sighting(True, f"it could not be taken back within {_TRY_SECONDS:.0f} s")
    except DbreError as error:
        return Sighting(True, error.message)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one, the next one is healed
        return Sighting(True, one_line(f"{type(error).__name__}: {error}", limit=300))


def _programs_of(holder: Process) -> list[Process]:
    """What an injector has started to work for it; a server that it has started again is in a session of its own."""
    found = []
    for one in family(holder):
        with suppress(ProcessLookupError):
            if one.pid != holder.pid and os.getsid(one.pid) == holder.pid:
                found.append(one)
    return found


async def _kill(holder: Process) -> None:
    programs = _programs_of(holder)  # such as nft: what they are doing would come after what we take back
    for one in (holder, *programs):
        send(one, signal.SIGKILL)
    deadline = asyncio.get_running_loop().time() + _DEATH_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        if not any(lives(one) for one in (holder, *programs)):
            return
        await asyncio.sleep(_POLL_SECONDS)
