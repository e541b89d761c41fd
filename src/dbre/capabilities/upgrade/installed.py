"""Which version the next start of a server runs: by the operator's own command, or by the program on this machine."""

import os
import pwd
import re
from pathlib import Path

from dbre.capabilities.upgrade.ground import UpgradeGround
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster, Instance
from dbre.core.programs.account import Account
from dbre.core.programs.run import Finished, run
from dbre.core.text import printable
from dbre.ports.versions import parse_version

__all__ = ["NoVersion", "installed_version", "run_command"]

_VERSION = re.compile(r"\d+(?:\.\d+)+", re.ASCII)  # postgres (PostgreSQL) 15.18, Ver 10.11.14-MariaDB, v=7.0.15
_VERSION_SECONDS = 30.0


class NoVersion(DbreError):
    """A command that was to print a version printed none."""

    code = "upgrade.no_version"


async def installed_version(ground: UpgradeGround, cluster: Cluster, instance: Instance) -> tuple[int, ...] | None:
    """None where nobody can tell. Raises: NoVersion, ProgramFailed, NoControl where nobody else starts it."""
    commands = ground.limits(cluster.name).commands_of(instance.name)
    if commands is not None and commands.version is not None:
        printed = (await run_command(commands.version, limit_seconds=_VERSION_SECONDS)).stdout
        match = _VERSION.search(printed)
        if match is None:
            raise NoVersion(
                f"the command that tells the version of {instance.name} printed {printable(printed, limit=100) or 'nothing'}",
                hint="it is to print what postgres --version prints",
            )
        return parse_version(match[0])
    if instance.control is None and ground.steward_of(cluster) is not None:
        return None
    host = ground.host(cluster, instance)
    return await host.installed_version() if (await host.state()).is_seen else None


async def run_command(words: tuple[str, ...], *, limit_seconds: float) -> Finished:
    """A command of the configuration, without a shell, as ourselves. Raises: ProgramFailed with what it printed."""
    entry = pwd.getpwuid(os.geteuid())
    account = Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, switch=False)
    return await run(words, account=account, directory=Path(entry.pw_dir), timeout_seconds=limit_seconds)
