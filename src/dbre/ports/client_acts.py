"""Acts of clients where each is one statement or command that commits by itself, whatever the engine."""

from typing import Any, Protocol

from dbre.core.errors import UsageError
from dbre.ports.client_work import ClientWork, ClientWorkload, Fate, WorkFailed

__all__ = ["SINGLE_ACT_WORKLOADS", "Cells", "act_on"]

SINGLE_ACT_WORKLOADS = frozenset({ClientWorkload.LEDGER, ClientWorkload.SET, ClientWorkload.REGISTER})
"""What can be done that way."""


class Cells(Protocol):
    """A list and a register of each run, as an engine keeps them; each call is one act, and raises what the driver does."""

    async def append(self, run: str, value: Any) -> None:
        """Add to the list."""
        ...

    async def members(self, run: str) -> list[int]:
        """All of the list."""
        ...

    async def get(self, run: str, key: Any) -> int | None:
        """One value of the register; None: it has none."""
        ...

    async def put(self, run: str, key: Any, value: Any) -> None:
        """Set one."""
        ...

    async def swap(self, run: str, key: Any, old: Any, new: Any) -> bool:
        """Set one that has the old value; whether it had."""
        ...


async def act_on(cells: Cells, work: ClientWork, *, product: str) -> Any:
    """Do one act, and give its value as histories have it. Raises: UsageError; WorkFailed where another value was there."""
    match work.workload, work.f:
        case (ClientWorkload.LEDGER, "write") | (ClientWorkload.SET, "add"):
            await cells.append(work.run, work.value)
        case (ClientWorkload.LEDGER | ClientWorkload.SET, "read"):
            return await cells.members(work.run)
        case (ClientWorkload.REGISTER, "read"):
            return [work.value[0], await cells.get(work.run, work.value[0])]
        case (ClientWorkload.REGISTER, "write"):
            await cells.put(work.run, *work.value)
        case (ClientWorkload.REGISTER, "cas"):
            key, (old, new) = work.value
            if not await cells.swap(work.run, key, old, new):
                raise WorkFailed(Fate.FAILED, "another value was there", is_answer=True)
        case _:
            raise UsageError(f"a client of {product} cannot {work.f} in workload {work.workload}")
    return work.value
