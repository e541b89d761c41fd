"""``dns-failure``: on this machine a name leads to an address where nobody answers, by a line in the file of hosts."""

import asyncio
import fcntl
import ipaddress
import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator

from dbre.capabilities.chaos.injection.model import Fault, FaultKind, Parameters, Scene, Sighting
from dbre.core.errors import Denied, PrecheckFailed, UsageError
from dbre.core.text import quoted

__all__ = ["NAME_FAILURE", "NameFailure", "NameFailureParameters"]

_NOWHERE = "192.0.2.1"  # RFC 5737: for documentation, routed nowhere
_NAME = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*"
)
_LONGEST = 1 << 20
_HOSTS = "/etc/hosts"


class NameFailureParameters(Parameters):
    """Which name, and where it leads."""

    name: Annotated[str, Field(description="as clients on this machine look it up")]
    answer: Annotated[str, Field(description="an address; default 192.0.2.1, which is routed nowhere")] = _NOWHERE
    file: Annotated[
        str, Field(pattern=r"^/", max_length=4000, description="default /etc/hosts; of a namespace /etc/netns/NAME/hosts")
    ] = _HOSTS

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not _NAME.fullmatch(value) or value.lower() == "localhost":
            raise UsageError(f"{quoted(value, limit=100)} is no name of a host, or one that this machine needs itself")
        return value

    @field_validator("answer")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        try:
            return str(ipaddress.ip_address(value))
        except ValueError:
            raise UsageError(f"{quoted(value, limit=100)} is no address", hint="such as 192.0.2.1") from None


class NameFailure(Fault):
    """One line at the beginning of the file, which bears the fault's name."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._mark = f"# dbre-chaos-{scene.id}"

    async def prepare(self) -> Mapping[str, Any]:
        """See that the file may be changed and that nobody looks the name up otherwise there."""
        asked: NameFailureParameters = self.scene.parameters
        await asyncio.to_thread(_edit, asked.file, lambda text: text)
        if asked.name == self.scene.access.address.host:
            raise PrecheckFailed(
                f"dbre itself reaches {self.scene.instance} by {asked.name} here", hint="give the instance a numeric address"
            )
        return {"file": asked.file, "name": asked.name, "answer": asked.answer}

    async def begin(self, inverse: Mapping[str, Any]) -> Mapping[str, Any]:
        """Put the line first: the first one that names it counts."""
        line = f"{inverse['answer']} {inverse['name']} {self._mark}\n"
        await asyncio.to_thread(_edit, inverse["file"], lambda text: line + text)
        return inverse

    async def look(self, inverse: Mapping[str, Any]) -> Sighting:
        """Read the file; of this machine's own also look the name up."""
        text = await asyncio.to_thread(_read, inverse["file"])
        is_there = self._mark in text
        if inverse["file"] != _HOSTS:
            return Sighting(is_there, f"the line is {'in' if is_there else 'not in'} {inverse['file']}")
        found = await asyncio.to_thread(_addresses, inverse["name"])
        return Sighting(is_there, f"{inverse['name']} leads to {', '.join(sorted(found)) or 'nothing'}")

    async def end(self, inverse: Mapping[str, Any]) -> None:
        """Take our line out, and no other."""
        await asyncio.to_thread(_edit, inverse["file"], self._without)

    def _without(self, text: str) -> str:
        return "".join(line for line in text.splitlines(keepends=True) if self._mark not in line)


def _edit(path: str, change: Any) -> None:
    """In its place, because the file may be mounted by itself; whole or as before."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            before = file.read(_LONGEST + 1)
            if len(before) > _LONGEST:
                raise PrecheckFailed(f"{path} is larger than 1 MB", hint="this is no file of hosts")
            text = before.decode("utf-8", "surrogateescape")
            _see_that_it_names_hosts(text, path)
            after = change(text).encode("utf-8", "surrogateescape")
            if after == before:
                return
            file.seek(0)
            file.write(after)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise Denied(f"{path} cannot be changed: {error.strerror}", hint="run it as root, where the file is") from error


def _see_that_it_names_hosts(text: str, path: str) -> None:
    """Raises: PrecheckFailed for a file of anything else: whoever may order faults may not change those."""
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        try:
            if words:
                ipaddress.ip_address(words[0])
        except ValueError:
            raise PrecheckFailed(
                f"{quoted(path, limit=200)} is no file of hosts: a line begins with no address",
                hint="name /etc/hosts, or /etc/netns/NAME/hosts",
            ) from None


def _read(path: str) -> str:
    with Path(path).open(encoding="utf-8", errors="surrogateescape") as file:
        return file.read(_LONGEST)


def _addresses(name: str) -> set[str]:
    try:
        return {str(one[4][0]) for one in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
    except OSError:
        return set()


NAME_FAILURE = FaultKind(
    name="dns-failure",
    summary="on this machine a name leads to an address where nobody answers (a line in the file of hosts)",
    privilege="root, on the machine of the clients",
    proof="the name is looked up",
    undo="the line is taken out",
    parameters=NameFailureParameters,
    make=NameFailure,
    is_local=True,
)
