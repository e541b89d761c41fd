"""The adapter for a repository of another tool, by the name of the tool."""

import os
import pwd
from collections.abc import Callable
from pathlib import Path

from dbre.core.errors import Unsupported, UsageError
from dbre.core.programs.account import Account
from dbre.core.text import closest, quoted
from dbre.ports.backup.engine import BackupPort
from dbre.ports.backup.repository import ForeignRepository

__all__ = ["TOOLS", "account_of", "open_repository"]

TOOLS = ("pgbackrest", "barman", "rman", "sqlserver", "mongodb", "pg_basebackup")
_USUAL = {"pgbackrest": "postgres", "barman": "barman", "rman": "oracle"}
_PBM = "pbm"
_OF_DIRECTORIES = {
    "pg_basebackup": "--stanza /DIRECTORY of a copy, or of several with their log",
    "mongodb": "--stanza /DIRECTORY of dumps, or --stanza pbm",
}


def _no_driver(engine: str) -> BackupPort:
    raise Unsupported(f"no driver of {engine} is at hand", hint="run it by dbre backup inspect")


def open_repository(
    tool: str,
    *,
    account: Account,
    config: Path | None,
    stanza: str,
    repository: int = 1,
    port_of: Callable[[str], BackupPort] = _no_driver,
) -> ForeignRepository:
    """The repository; nothing of it is read yet. Raises: UsageError for an unknown tool or a missing stanza.

    ``stanza`` is what the tool backs up: a stanza, a server of Barman, a database; of MongoDB ``pbm``, or a directory of dumps;
    a directory of copies that pg_basebackup wrote. ``port_of`` gives the driver of an engine,
    for copies that only that understands.
    """
    if tool not in TOOLS:
        near = closest(tool, TOOLS)
        raise UsageError(
            f"{quoted(tool, limit=60)} is no tool whose repositories dbre reads",
            hint=f"did you mean {near}?" if near else f"dbre backup inspect TOOL --stanza NAME, TOOL one of {', '.join(TOOLS)}",
        )
    if not stanza and tool in _OF_DIRECTORIES:
        raise UsageError(f"{tool} leaves directories: say which", hint=_OF_DIRECTORIES[tool])
    if not stanza:
        raise UsageError(f"{tool} keeps many servers: say which", hint="--stanza NAME")
    if tool == "pgbackrest":
        from dbre.tools.pgbackrest import PgBackRestRepository

        return PgBackRestRepository(account=account, config=config, stanza=stanza, repository=repository)
    if tool == "barman":
        from dbre.tools.barman import BarmanRepository

        return BarmanRepository(account=account, config=config, server=stanza)
    if tool == "rman":
        from dbre.tools.rman import RmanRepository

        return RmanRepository(account=account, config=config, database=stanza)
    if tool == "sqlserver":
        from dbre.tools.sqlserver_backup import SqlServerRepository

        return SqlServerRepository(account=account, config=config, database=stanza)
    if tool == "pg_basebackup":
        from dbre.tools.pg_basebackup import BaseBackupDirectory

        return BaseBackupDirectory(port=port_of(BaseBackupDirectory.engine), config=config, directory=Path(stanza))
    from dbre.tools.mongodb_backup import DumpRepository, PbmRepository

    if stanza == _PBM:
        return PbmRepository(account=account, config=config)
    return DumpRepository(account=account, config=config, directory=Path(stanza))


def account_of(tool: str, config: Path | None, *, asked: str | None, otherwise: Account) -> Account:
    """As whom a tool is run. Only root can choose: who was asked for, who owns the configuration, or the tool's own account.

    Raises: UsageError where the account does not exist; Unsupported where one was asked for and we are not root.
    """
    if os.geteuid() != 0:
        if asked is not None and asked != otherwise.name:
            raise Unsupported(f"only root can run {tool} as {asked}", hint=f"sudo -u {asked} dbre ...")
        return otherwise
    for name in (asked, _owner(config), _USUAL.get(tool)):
        if name is None:
            continue
        try:
            entry = pwd.getpwnam(name)
        except KeyError as error:
            if name == asked:
                raise UsageError(f"this machine has no account {quoted(name, limit=60)}", hint="see /etc/passwd") from error
            continue
        if entry.pw_uid != 0:
            return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, switch=True)
    return otherwise


def _owner(config: Path | None) -> str | None:
    try:
        owner = config.stat().st_uid if config is not None else 0
        return pwd.getpwuid(owner).pw_name if owner else None
    except (OSError, KeyError):
        return None
