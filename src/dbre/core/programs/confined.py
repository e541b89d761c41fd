"""A program that must not act on the world: in a network namespace of its own, and ended when we end, however that happens."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dbre.core.programs.account import Account
from dbre.core.programs.errors import ProgramFailed
from dbre.core.programs.run import run

__all__ = ["Confinement", "confine", "dies_with_us"]

_TRY_SECONDS = 60.0
_EMPTY = "an empty network namespace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """What holds a program: words to put before its own, as whom to start these, and a description for the evidence."""

    prefix: tuple[str, ...]
    account: Account
    is_jailed: bool
    description: Mapping[str, str] = field(default_factory=dict)


async def dies_with_us(account: Account, *, signal_name: str = "KILL") -> tuple[str, ...]:
    """Words before a program's own, so that it gets a signal when we die, however we die; none where that cannot be had."""
    words = ("setpriv", "--pdeathsig", signal_name, "--")
    return words if await _works(words, account) else ()


async def confine(account: Account, *, wanted: bool = True, signal_name: str = "KILL") -> Confinement:
    """The tightest confinement that this machine lets the account have, each way tried before it is relied on.

    The namespace belongs to a user namespace in which the account keeps its own number, since servers refuse to be root
    there too; or root makes it and becomes the account in it. Unix sockets are files, and can be reached from outside.
    """
    ends = await dies_with_us(account, signal_name=signal_name)
    if not wanted:
        return _open(account, ends, "the machine's, as was asked for")
    if shutil.which("unshare") is None:
        return _open(account, ends, "the machine's: unshare is not installed")
    # the change of namespace would undo the wish to die with us, so that comes after it
    own = ("unshare", "--user", "--map-current-user", "--net", "--", *ends)
    if await _works(own, account):
        return Confinement(prefix=own, account=account, is_jailed=True, description={"network": _EMPTY})
    if account.switch:
        root = Account(name="root", uid=0, gid=0, switch=False)
        drop = ("setpriv", f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups", "--")
        made = ("unshare", "--net", "--", *drop, *ends)
        if await _works(made, root):
            return Confinement(prefix=made, account=root, is_jailed=True, description={"network": f"{_EMPTY}, made by root"})
    return _open(account, ends, "the machine's, which gives no namespace; the server listens nowhere and connects to nobody")


def _open(account: Account, ends: tuple[str, ...], network: str) -> Confinement:
    return Confinement(prefix=ends, account=account, is_jailed=False, description={"network": network})


async def _works(words: Sequence[str], account: Account) -> bool:
    try:
        await run([*words, "true"], account=account, directory=Path("/"), timeout_seconds=_TRY_SECONDS)
    except ProgramFailed:
        return False
    return True
