"""The rungs: the server's own processes, the network, a command of the operator, and the server's own watchdog."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

from dbre.capabilities.ha.fencing.config_document import CommandFence, ControlFence, NetworkFence, SelfFence
from dbre.capabilities.ha.fencing.rung import Act, Agent, Confirmation
from dbre.core.clock import Clock
from dbre.core.errors import DbreError
from dbre.core.fleet import Address, Instance
from dbre.core.network import resolve
from dbre.core.programs.account import Account
from dbre.core.programs.errors import ProgramFailed
from dbre.core.programs.processes import Process
from dbre.core.programs.run import run
from dbre.ports.succession import HostPort, HostState, NotDone, StopMode
from dbre.tools.nft_fence import NftFence

__all__ = ["CommandRung", "ControlRung", "NetworkRung", "SelfFenceRung", "Silence", "is_open"]

_KILL_SECONDS = 30.0
_CONNECT_SECONDS = 0.5  # a SYN that is lost is sent again after 1 s: to wait for longer than an answer takes brings nothing
_AGAIN_SECONDS = 0.5
_STOP_SHOWS_SECONDS = 0.5

Silence = Callable[[], Awaitable[float | None]]
"""For how long a majority of the observers has not heard the server; None where there is no such majority."""


class ControlRung:
    """Stop in order, then SIGKILL to every process; confirmed where none is left, of whoever would start it again neither."""

    name, ends_agent = "control", False  # one that runs is left alone, and the rung fails

    def __init__(
        self, settings: ControlFence, host: HostPort, *, starts_again: bool = True, agent: Agent | None = None
    ) -> None:
        self._patience = settings.patience.total_seconds()
        self._host = host
        self._agent = agent
        self._starts_again = starts_again  # False: whoever promotes in this cluster decides as what it starts

    async def stands(self) -> bool:
        """Any process of the server is there."""
        return not (await self._host.state()).is_gone

    async def fence(self) -> Act:
        """Stop it, and kill it where it does not obey; what is frozen or hangs is killed at once."""
        ended = await self._agent.end() if self._agent is not None else None  # first: it would wake with its server
        act = await self._stop()
        return act if ended is None else Act(done=f"{ended}; {act.done}", is_ours=act.is_ours)

    async def _stop(self) -> Act:
        before = await self._host.state()
        if before.is_gone:
            await self._host.stop(StopMode.ORDERLY, limit_seconds=self._patience)  # whoever would start it again is told not to
            return Act(done="no process was there", is_ours=False)
        if before.is_seen and any(_is_frozen(pid) for pid in before.processes):
            await self._host.kill(limit_seconds=_KILL_SECONDS)
            return Act(done=f"{len(before.processes)} frozen processes were killed")
        try:
            await self._host.stop(StopMode.ORDERLY, limit_seconds=self._patience)
        except (NotDone, ProgramFailed) as error:
            await self._host.kill(limit_seconds=_KILL_SECONDS)
            return Act(done=f"it was killed, for it did not stop: {error.message}")
        return Act(done="it was stopped in order")

    async def confirm(self) -> Confirmation:
        """No process of the server is left on its machine."""
        state = await self._host.state()
        left = await self._agent.left() if self._agent is not None else None
        if left is not None:
            return Confirmation(is_fenced=False, seen=f"{left}, and may start the server again")
        if state.is_gone:
            return Confirmation(is_fenced=True, seen="no process is left")
        return Confirmation(is_fenced=False, seen=_what_is_left(state))

    async def release(self) -> str | None:
        """Start it again as what it was; where somebody else may promote another one meanwhile, it is left to them."""
        if not self._starts_again:
            return None
        before = await self._host.state()
        if before.processes:
            await asyncio.sleep(_STOP_SHOWS_SECONDS)  # one that was told to stop a moment ago says still that it serves
            before = await self._host.state()
        if before.processes and before.is_answering:
            return "it was not stopped"
        await self._start()
        return "started again as what it was"

    async def _start(self) -> None:
        """Where a fence was interrupted, it may be about to stop, or some of its processes may be left: they are in the way."""
        try:
            await self._host.start(limit_seconds=_KILL_SECONDS * 2)
        except (NotDone, ProgramFailed):
            if (await self._host.state()).is_gone:
                raise
            await self._host.kill(limit_seconds=_KILL_SECONDS)
            await self._host.start(limit_seconds=_KILL_SECONDS * 2)


def _is_frozen(pid: int) -> bool:
    process = Process.read(pid)
    return process is not None and process.is_stopped


def _what_is_left(state: HostState) -> str:
    if not state.is_seen:
        return "its processes cannot be seen from here: that needs the machine of its address, and its owner or root"
    shown = ", ".join(map(str, state.processes[:5]))
    return f"{len(state.processes)} processes are left: {shown}"


class NetworkRung:
    """Rules that drop every packet of the server's port; confirmed where they are listed and nobody gets through."""

    name, ends_agent = "network", False

    def __init__(self, settings: NetworkFence, instance: Instance, *, fence_id: str) -> None:
        self._address = instance.address
        self._fence = NftFence(instance.address, name=fence_id, namespace=settings.namespace)

    async def stands(self) -> bool:
        """The rules are not there yet."""
        return not await self._fence.is_cut()

    async def fence(self) -> Act:
        """Put the rules there."""
        await self._fence.cut()
        return Act(done=f"table inet {self._fence.table} drops what goes to and comes from {self._address}")

    async def confirm(self) -> Confirmation:
        """The rules are listed, and a connection attempt gets nowhere."""
        if not await self._fence.is_cut():
            return Confirmation(is_fenced=False, seen=f"table inet {self._fence.table} is not there as it should be")
        if await is_open(self._address):
            return Confirmation(is_fenced=False, seen=f"{self._address} accepts connections in spite of the rules")
        return Confirmation(is_fenced=True, seen=f"the rules are listed, and nobody gets through to {self._address}")

    async def release(self) -> str | None:
        """Take the rules away."""
        await self._fence.lift()
        return f"table inet {self._fence.table} is deleted"


async def is_open(address: Address) -> bool:
    """Whether somebody accepts a connection there. Raises: OSError where nobody knows the name."""
    for one in await resolve(address):
        with suppress(OSError):  # TimeoutError is one
            async with asyncio.timeout(_CONNECT_SECONDS):
                _, writer = await asyncio.open_connection(one.host, one.port)
            writer.close()
            return True
    return False


class CommandRung:
    """The operator's command, and the operator's other command that says whether it worked."""

    name, ends_agent = "command", True  # the power, the hypervisor or the cloud: the whole machine

    def __init__(self, settings: CommandFence, instance: Instance, account: Account, clock: Clock) -> None:
        self._settings = settings
        self._instance = instance
        self._account = account
        self._clock = clock

    async def stands(self) -> bool:
        """Nobody here knows, and what the command that takes it back does to a machine that is on is the operator's word."""
        return True

    async def fence(self) -> Act:
        """Run the command; that it ends with 0 proves nothing."""
        await self._run(self._settings.fence)
        return Act(done=f"{self._settings.fence[0]} ended with 0")

    async def confirm(self) -> Confirmation:
        """Run the confirmation until it ends with 0, or the limit has passed."""
        end = self._clock.monotonic() + self._settings.limit.total_seconds()
        program = self._settings.confirm[0]
        while True:
            try:
                await self._run(self._settings.confirm)
            except ProgramFailed as error:
                if self._clock.monotonic() >= end:
                    return Confirmation(is_fenced=False, seen=error.message)
                await self._clock.sleep(_AGAIN_SECONDS)
            else:
                return Confirmation(is_fenced=True, seen=f"{program} says that it is off")

    async def release(self) -> str | None:
        """Run the command that takes it back, where there is one."""
        if self._settings.release is None:
            return None
        await self._run(self._settings.release)
        return f"{self._settings.release[0]} ended with 0"

    async def _run(self, words: Sequence[str]) -> None:
        known = {
            "{instance}": self._instance.name,
            "{host}": self._instance.address.host,
            "{port}": str(self._instance.address.port),
        }
        limit = self._settings.limit.total_seconds()
        argv = [_filled(word, known) for word in words]
        await run(argv, account=self._account, directory=Path("/"), timeout_seconds=limit)


def _filled(word: str, known: dict[str, str]) -> str:
    for mark, value in known.items():
        word = word.replace(mark, value)
    return word


class SelfFenceRung:
    """The argument of a lease: who hears no observer for so long kills itself, so it is enough to wait for longer."""

    name, ends_agent = "self_fence", False

    def __init__(self, settings: SelfFence, silence: Silence, clock: Clock) -> None:
        self._seconds = settings.after.total_seconds() + settings.margin.total_seconds()
        self._silence = silence
        self._clock = clock

    async def stands(self) -> bool:
        """It does nothing to anybody."""
        return False

    async def fence(self) -> Act:
        """Wait until the silence has lasted long enough."""
        end = self._clock.monotonic() + self._seconds + _KILL_SECONDS
        while self._clock.monotonic() < end:
            found = await self._silence()
            if found is None:
                raise DbreError("an observer hears the server again, or too few observers report: its watchdog may be content")
            if found >= self._seconds:
                break
            await self._clock.sleep(min(_AGAIN_SECONDS, self._seconds - found))
        return Act(done=f"waited until the observers had not heard it for {self._seconds:g} s", is_ours=False)

    async def confirm(self) -> Confirmation:
        """A majority of observers has not heard it for the time of its watchdog and the margin."""
        found = await self._silence()
        if found is None or found < self._seconds:
            seen = "unheard by no majority" if found is None else f"unheard for {found:.1f} s"
            return Confirmation(is_fenced=False, seen=f"{seen}; {self._seconds:g} s are needed")
        return Confirmation(
            is_fenced=True, seen=f"unheard for {found:.1f} s, after {self._seconds:g} s its watchdog has killed it"
        )

    async def release(self) -> str | None:
        """Nothing was done."""
        return None
