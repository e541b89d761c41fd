"""A server that must not act on the world: in a network namespace of its own, which ends with us."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dbre.core.programs.account import Account
from dbre.core.programs.errors import ProgramFailed
from dbre.core.programs.run import run
from dbre.core.text import one_line

__all__ = ["Confinement", "confine", "dies_with_us"]

_TRY_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """What holds a program: words to put before its own, and a description for the evidence."""

    prefix: tuple[str, ...]
    is_jailed: bool
    description: Mapping[str, str] = field(default_factory=dict)


def dies_with_us() -> tuple[str, ...]:
    """Words before a program that is killed when its parent dies, however that happens; none where setpriv is missing."""
    setpriv = shutil.which("setpriv")
    return () if setpriv is None else (setpriv, "--pdeathsig", "KILL", "--")


async def confine(account: Account, *, wanted: bool = True) -> Confinement:
    """The tightest confinement that this machine lets the account have.

    The namespace belongs to a user namespace in which the account keeps its own number, since servers refuse to be root
    there too. Unix sockets are files, and can be reached from outside.
    """
    ends = dies_with_us()
    if not wanted:
        return Confinement(prefix=ends, is_jailed=False, description={"network": "the machine's, as was asked for"})
    unshare = shutil.which("unshare")
    if unshare is None:
        return Confinement(prefix=ends, is_jailed=False, description={"network": "the machine's: unshare is not installed"})
    prefix = (unshare, "--map-current-user", "--net", "--")
    try:
        await run(
            [*prefix, shutil.which("true") or os.devnull], account=account, directory=Path("/"), timeout_seconds=_TRY_SECONDS
        )
    except ProgramFailed as error:
        reason = f"the machine's: no network namespace, {one_line(error.message)}"
        return Confinement(prefix=ends, is_jailed=False, description={"network": reason})
    # the change of namespace would undo the wish to die with us, so that comes after it
    return Confinement(
        prefix=(*prefix, *ends), is_jailed=True, description={"network": "a namespace of its own, without interfaces"}
    )
