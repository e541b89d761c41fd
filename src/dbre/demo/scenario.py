"""The acts: steady state, freeze, kill; each is measured from both sides before the next begins."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx

from dbre.core.errors import DbreError
from dbre.demo.configuration import INTERVAL_SECONDS, LIMIT_SECONDS, REPLICA_SLO, WRITE_SLO
from dbre.demo.control_plane import ControlPlaneProcess
from dbre.demo.live import Teller
from dbre.demo.verdict import Act
from dbre.lab import LabServer, LoadClient

__all__ = ["Counts", "NotRecovered", "Scenario"]

_RECOVERY_SECONDS = 40.0
_GOOD_IN_A_ROW = 2  # slots that end an act
_POLL_SECONDS = 0.2


class NotRecovered(DbreError):
    """The database or the view on it did not come back in time."""

    code = "demo.not_recovered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What both sides had counted at one moment."""

    slots: int
    bad_slots: int
    replica_bad_slots: int
    client_operations: int
    client_failed: int


class Scenario:
    """Breaks the primary while ``load`` runs and the control plane watches."""

    def __init__(self, plane: ControlPlaneProcess, primary: LabServer, load: LoadClient, teller: Teller) -> None:
        self._plane = plane
        self._primary = primary
        self._load = load
        self._teller = teller

    async def steady(self, seconds: float) -> Counts:
        """Let everything run undisturbed; the counts at the end."""
        self._teller.now("undisturbed", seconds=seconds)
        await asyncio.sleep(seconds)
        counts = await self._settled()
        if not counts.slots or not counts.client_operations:
            raise NotRecovered(
                f"nothing was measured in {seconds:g} s: {counts.slots} slots, {counts.client_operations} writes",
                hint=f"see {self._plane.log_file}",
            )
        return counts

    async def freeze(self, seconds: float) -> Act:
        """Hold the primary with SIGSTOP, as a hung disk or hypervisor would."""

        async def hold() -> None:
            await self._primary.freeze()
            self._teller.tell(f"SIGSTOP to the primary and all its backends; it will hang for {seconds:g} s")

        async def release() -> None:
            await self._primary.thaw()
            self._teller.tell("SIGCONT: the primary goes on")

        return await self._act("freeze", f"primary frozen for {seconds:g} s", hold, release, seconds)

    async def kill(self, seconds: float) -> Act:
        """Kill the primary with SIGKILL and start it again after a pause; it recovers from its WAL."""

        async def end() -> None:
            await self._primary.kill()
            self._teller.tell(f"SIGKILL to the primary and all its backends; it stays away for {seconds:g} s")

        async def begin() -> None:
            await self._primary.start()
            self._teller.tell("the primary has recovered from its WAL and takes connections")

        return await self._act("kill", f"primary killed, started again after {seconds:g} s", end, begin, seconds)

    async def _act(
        self, name: str, fault: str, begin: Callable[[], Awaitable[None]], end: Callable[[], Awaitable[None]], seconds: float
    ) -> Act:
        before = await self._settled()
        fault_at = datetime.now(UTC)
        await begin()
        self._teller.now(fault, seconds=seconds)
        await asyncio.sleep(seconds)
        await end()
        cleared_at = datetime.now(UTC)
        self._teller.now("waiting for good slots and good writes")
        recovered_at = await self._recovered()
        after = await self._settled()
        act = Act(
            name=name,
            fault=fault,
            fault_at=fault_at,
            cleared_at=cleared_at,
            recovered_at=recovered_at,
            slots=after.slots - before.slots,
            bad_slots=after.bad_slots - before.bad_slots,
            interval_seconds=INTERVAL_SECONDS,
            client_operations=after.client_operations - before.client_operations,
            client_failed=after.client_failed - before.client_failed,
            client_rate_per_second=self._load.plan.rate / 2,  # the writes; the other half are reads
            replica_bad_slots=after.replica_bad_slots - before.replica_bad_slots,
        )
        self._teller.tell(
            f"{act.bad_slots} of {act.slots} slots bad = {act.probed_seconds:.2f} s by the prober;"
            f" clients suffered {act.suffered_seconds:.2f} s ({act.client_failed} writes)"
        )
        return act

    async def _recovered(self) -> datetime:
        """When the prober saw good slots again, and as many seconds of writes by the client went well."""
        good_before = (await self._slo(WRITE_SLO))["good"]
        failed_before = self._load.report().writes.failed
        since = datetime.now(UTC)
        try:
            async with asyncio.timeout(_RECOVERY_SECONDS):
                while True:
                    await asyncio.sleep(_POLL_SECONDS)
                    failed = self._load.report().writes.failed
                    if failed != failed_before:
                        failed_before, since = failed, datetime.now(UTC)
                        good_before = (await self._slo(WRITE_SLO))["good"]
                    good = (await self._slo(WRITE_SLO))["good"]
                    if good - good_before >= _GOOD_IN_A_ROW and (datetime.now(UTC) - since).total_seconds() >= LIMIT_SECONDS:
                        return since
        except TimeoutError as error:
            raise NotRecovered(
                f"the write endpoint is not good again {_RECOVERY_SECONDS:.0f} s after the fault was cleared",
                hint=f"see {self._plane.log_file} and {self._primary.log_file}",
            ) from error

    async def _settled(self) -> Counts:
        """Counts when nothing is under way that was due before now: each operation and each probe has ended by its limit."""
        await asyncio.sleep(LIMIT_SECONDS + _POLL_SECONDS)
        writes, replica = await self._slo(WRITE_SLO), await self._slo(REPLICA_SLO)
        client = self._load.report().writes
        return Counts(
            slots=writes["total"],
            bad_slots=writes["bad"],
            replica_bad_slots=replica["bad"],
            client_operations=client.scheduled,
            client_failed=client.failed,
        )

    async def _slo(self, name: str) -> dict[str, int]:
        try:
            async with self._plane.client() as client:
                answer = await client.get("/api/v1/slos")
                items = answer.raise_for_status().json()["items"]
        except httpx.HTTPError as error:
            raise NotRecovered(f"the control plane does not answer: {error}", hint=f"see {self._plane.log_file}") from error
        found: dict[str, int] = next(one for one in items if one["name"] == name)
        return found
