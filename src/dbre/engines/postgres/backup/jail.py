"""A restored server must reach nobody and be reached by nobody: no network at all, where the kernel lets us have that."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dbre.core.programs.account import Account
from dbre.core.programs.errors import ProgramFailed
from dbre.core.programs.run import run

__all__ = ["Jail", "dies_with_us", "find_jail"]

_SECONDS = 30.0
_WITH_US = ("setpriv", "--pdeathsig")
_FAST_SHUTDOWN = "INT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Jail:
    """How a server is started so that it has no network, and does not outlive us."""

    prefix: tuple[str, ...]  # words before the server's own
    account: Account  # as whom to start these words
    has_no_network: bool
    description: str


async def find_jail(account: Account, *, wants_no_network: bool) -> Jail:
    """The best that this machine offers, each way tried before it is relied on."""
    dying = await dies_with_us(account, signal_name=_FAST_SHUTDOWN)
    if not wants_no_network:
        return Jail(prefix=dying, account=account, has_no_network=False, description="none was asked for")
    user_namespace = ("unshare", "--user", "--map-current-user", "--net")
    if await _works((*user_namespace, *dying), account):
        return Jail(
            prefix=(*user_namespace, *dying), account=account, has_no_network=True, description="an empty network namespace"
        )
    if account.switch:
        root = Account(name="root", uid=0, gid=0, switch=False)
        drop = ("setpriv", f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups")
        words = ("unshare", "--net", *drop, *dying)
        if await _works(words, root):
            return Jail(prefix=words, account=root, has_no_network=True, description="an empty network namespace, made by root")
    return Jail(
        prefix=dying,
        account=account,
        has_no_network=False,
        description="this machine gives no network namespace; the server listens nowhere and its settings connect to nobody",
    )


async def dies_with_us(account: Account, *, signal_name: str) -> tuple[str, ...]:
    """Words before a program's own, so that it gets a signal when we die, however we die; none where that cannot be had."""
    words = (*_WITH_US, signal_name)
    return words if await _works(words, account) else ()


async def _works(words: Sequence[str], account: Account) -> bool:
    try:
        await run([*words, "true"], account=account, directory=Path("/"), timeout_seconds=_SECONDS)
    except ProgramFailed:
        return False
    return True
