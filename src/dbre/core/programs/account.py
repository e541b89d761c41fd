"""As whom servers run: database servers refuse root, so root hands them to an unprivileged account."""

import grp
import os
import pwd
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from dbre.core.programs.errors import DirectoryUnusable, NoUsableAccount

__all__ = ["Account", "ChildCredentials", "choose_account", "first_barrier", "give", "require_reachable"]

FALLBACKS = ("postgres", "nobody")


class ChildCredentials(TypedDict, total=False):
    """The arguments of ``subprocess.Popen`` that make the child change its user before it runs anything."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who runs the servers. ``switch`` is false when that is the user who runs dbre."""

    name: str
    uid: int
    gid: int
    switch: bool

    def credentials(self) -> ChildCredentials:
        """Arguments for ``subprocess.Popen``; no supplementary group of ours is kept, no login shell is involved."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.switch else {}


def choose_account(environment: Mapping[str, str]) -> Account:
    """The user who runs dbre; for root, the user who called sudo, else ``postgres``, else ``nobody``.

    Raises: NoUsableAccount if root has none of them.
    """
    if os.geteuid() != 0:
        return Account(name=_name_of(os.geteuid()), uid=os.geteuid(), gid=os.getegid(), switch=False)
    sudo_uid = environment.get("SUDO_UID", "")
    if sudo_uid.isascii() and sudo_uid.isdigit() and int(sudo_uid) > 0:
        try:
            return _switched(pwd.getpwuid(int(sudo_uid)))
        except (KeyError, OverflowError):
            pass  # a number that names nobody here, as in a container: go on with the fallbacks
    for name in FALLBACKS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return _switched(entry)
    raise NoUsableAccount(
        f"root cannot run database servers, and none of the accounts {', '.join(FALLBACKS)} exists",
        hint="run dbre as another user, or make one: adduser --system postgres",
    )


def _switched(entry: pwd.struct_passwd) -> Account:
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, switch=True)


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def give(path: Path, account: Account) -> None:
    """Make ``account`` the owner of a file or directory that we have just made."""
    if account.switch:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def first_barrier(path: Path, account: Account) -> Path | None:
    """The first directory on the way to ``path`` that ``account`` may not pass through; None if it reaches ``path``.

    Judged by the permission bits. An access control list may say otherwise; then the server's own message tells.
    """
    if account.uid == os.geteuid() == 0:
        return None
    groups = {account.gid, *(group.gr_gid for group in grp.getgrall() if account.name in group.gr_mem)}
    if account.switch:
        groups = {account.gid}  # supplementary groups are dropped
    resolved = path.resolve()
    for directory in (*reversed(resolved.parents), resolved):
        try:
            status = directory.stat()
        except FileNotFoundError:
            return None
        except PermissionError:
            return directory.parent
        if not stat.S_ISDIR(status.st_mode):
            continue
        wanted = stat.S_IXUSR if status.st_uid == account.uid else stat.S_IXGRP if status.st_gid in groups else stat.S_IXOTH
        if not status.st_mode & wanted:
            return directory
    return None


def require_reachable(path: Path, account: Account) -> None:
    """Raises: DirectoryUnusable naming the directory that ``account`` cannot pass through."""
    barrier = first_barrier(path, account)
    if barrier is not None:
        raise DirectoryUnusable(
            f"{path} cannot hold servers: they run as {account.name!r}, who may not enter {barrier}",
            hint=f"choose a directory below /tmp, or allow it: chmod o+x {barrier}",
            context={"directory": str(path), "barrier": str(barrier), "account": account.name},
        )
