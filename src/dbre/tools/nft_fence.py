"""One server cut off by nftables: a table of its own, named, listed to prove it, and deleted as a whole."""

import ipaddress
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from dbre.core.errors import Denied, Unsupported
from dbre.core.fleet import Address
from dbre.core.network import resolve
from dbre.core.programs.account import Account
from dbre.core.programs.errors import ProgramFailed
from dbre.core.programs.run import Finished, run

__all__ = ["NftFence"]

_SECONDS = 10.0
_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
_PACKAGES = {"nft": "nftables", "ip": "iproute2"}


class NftFence:
    """Drops every packet from and to a TCP port of this machine (or of the namespace of the server), at whatever address.

    A server that listens everywhere is reached at addresses that the inventory does not name. Clients that use its own socket
    file are not cut off.
    """

    def __init__(self, address: Address, *, name: str, namespace: str | None = None) -> None:
        self._address = address
        self._table = f"dbre_fence_{name}"
        self._namespace = namespace

    @property
    def table(self) -> str:
        """The table that holds the rules, for a person who looks: ``nft list table inet dbre_fence_...``."""
        return self._table

    async def is_here(self) -> bool:
        """Whether the address belongs to this machine, or to the namespace: rules elsewhere would cut off nobody."""
        listed = (await self._run("ip", ["-o", "addr", "show"])).stdout.split()
        return all(any(word.partition("/")[0] == str(one) for word in listed) for one in await _numbers(self._address))

    async def cut(self) -> None:
        """Put the rules there, all at once; again where they are there. Raises: Denied, Unsupported, ProgramFailed."""
        await self._nft(["-f", "-"], script=_script(self._table, self._address.port))

    async def is_cut(self) -> bool:
        """Whether the table is there with both of its rules. Raises: Denied, Unsupported."""
        try:
            listed = (await self._nft(["list", "table", "inet", self._table])).stdout
        except ProgramFailed:  # there is no such table
            return False
        rules = {line.strip() for line in listed.splitlines()}
        return {_into(self._address.port), _out(self._address.port)} <= rules

    async def lift(self) -> None:
        """Take the rules away; nothing where there are none. Raises: Denied, Unsupported, ProgramFailed."""
        await self._nft(["-f", "-"], script=f"table inet {self._table}\ndelete table inet {self._table}\n")

    async def _nft(self, words: Sequence[str], *, script: str | None = None) -> Finished:
        if os.geteuid() != 0:
            raise Denied("rules of nftables need root", hint="run dbre, or its worker, as root on the machine of the server")
        return await self._run("nft", words, script=script)

    async def _run(self, program: str, words: Sequence[str], *, script: str | None = None) -> Finished:
        found = shutil.which(program, path=_PATH)
        if found is None:
            raise Unsupported(f"{program} is not installed here", hint=f"apt install {_PACKAGES[program]}")
        inside = ["ip", "netns", "exec", self._namespace] if self._namespace is not None else []
        return await run(
            [*inside, found, *words],
            account=Account(name="", uid=os.geteuid(), gid=os.getegid(), switch=False),
            directory=Path("/"),
            timeout_seconds=_SECONDS,
            environment={"PATH": _PATH},
            stdin=script.encode() if script is not None else None,
            program=program,
        )


def _into(port: int) -> str:
    return f"tcp dport {port} drop"


def _out(port: int) -> str:
    return f"tcp sport {port} drop"


def _script(table: str, port: int) -> str:
    """One transaction of nft: an older table of that name is replaced. Source: nft(8), "delete" after "add" never fails."""
    return (
        f"table inet {table}\ndelete table inet {table}\n"
        f"table inet {table} {{\n"
        f"  chain in {{\n    type filter hook input priority -300; policy accept;\n    {_into(port)}\n  }}\n"
        f"  chain out {{\n    type filter hook output priority -300; policy accept;\n    {_out(port)}\n  }}\n}}\n"
    )


async def _numbers(address: Address) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    if address.host.startswith("/"):
        raise Unsupported(f"{address} is a socket file, which no rule of nftables cuts off")
    return sorted({ipaddress.ip_address(one.host.partition("%")[0]) for one in await resolve(address)}, key=str)
