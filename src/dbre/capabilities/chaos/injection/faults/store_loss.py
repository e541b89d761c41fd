"""``dcs-loss``: the processes that listen at some addresses are stopped: the store in which a cluster keeps its lease."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, field_validator

from dbre.capabilities.chaos.injection.faults.freezing import Freeze
from dbre.capabilities.chaos.injection.local_process import family, main_process, noted
from dbre.capabilities.chaos.injection.model import FaultKind, Parameters
from dbre.core.errors import PrecheckFailed, UsageError
from dbre.core.fleet import Address
from dbre.core.text import quoted

__all__ = ["AGENT_FREEZE", "STORE_LOSS", "StoreLoss", "StoreLossParameters"]

_MOST = 20


class StoreLossParameters(Parameters):
    """Whose processes are stopped."""

    endpoints: Annotated[str, Field(min_length=3, max_length=2000, description="host:port of each, with commas")]

    @field_validator("endpoints")
    @classmethod
    def _can_be_read(cls, value: str) -> str:
        if not 1 <= len(addresses_of(value)) <= _MOST:
            raise UsageError(f"endpoints names none, or more than {_MOST}", hint="write host:port,host:port")
        return value


class StoreLoss(Freeze):
    """SIGSTOP to the members of a store; the lease in it can be neither renewed nor taken."""

    async def prepare(self) -> Mapping[str, Any]:
        """Find their processes; the instance's own are none of them."""
        own = self.scene.access.address
        processes = []
        for address in addresses_of(self.scene.parameters.endpoints):
            if address == own:
                raise PrecheckFailed(f"{address} is {self.scene.instance} itself", hint="freeze stops the server's processes")
            other = next((name for name, one in self.scene.peers.items() if one == address), None)
            if other is not None:
                raise PrecheckFailed(
                    f"{address} is {other}, an instance of {self.scene.cluster} and no part of its store",
                    hint=f"freeze {other}: then it is counted as one that answers nobody",
                )
            processes += family(await asyncio.to_thread(main_process, address))
        return noted(processes)


def addresses_of(text: str) -> list[Address]:
    """The addresses of a list. Raises: UsageError."""
    found = []
    for one in filter(None, (part.strip() for part in text.split(","))):
        address = Address.parse(one, default_port=0)
        if not address.port or address.host.startswith("/"):
            raise UsageError(f"{quoted(one, limit=100)} is no address with a port", hint="write host:port,host:port")
        found.append(address)
    return found


STORE_LOSS = FaultKind(
    name="dcs-loss",
    summary="the members of the store that holds a cluster's lease (etcd) are stopped: nobody can renew or take it",
    privilege="their account or root, on their machine",
    proof="the kernel's state of each process",
    undo="SIGCONT to each",
    parameters=StoreLossParameters,
    make=StoreLoss,
    is_local=True,
)


AGENT_FREEZE = FaultKind(
    name="agent-freeze",
    summary="the programs that run a server (Patroni) are stopped, and the server goes on without them",
    privilege="their account or root, on their machine",
    proof="the kernel's state of each process",
    undo="SIGCONT to each",
    parameters=StoreLossParameters,
    make=StoreLoss,
    is_local=True,
)
