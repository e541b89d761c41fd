"""The program sqlcmd: one batch at a time, its variables as hexadecimal constants, the password in the environment.

Source: Microsoft, "sqlcmd utility": ``-Q``, ``-b``, ``-x``, ``-y 0`` (cut off at 1 MB; excludes ``-h`` and ``-W``),
``SQLCMDUSER``, ``SQLCMDPASSWORD``. ``-X`` is not used: it would keep those variables from it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from dbre.core.errors import UsageError
from dbre.core.programs.account import Account
from dbre.core.programs.errors import ProgramFailed
from dbre.core.text import one_line, quoted
from dbre.tools.call import Ended, call, find_program
from dbre.tools.private_settings import read_settings

__all__ = ["SETTINGS", "SqlCmd", "declarations", "open_client"]

SETTINGS = ("SQLCMDSERVER", "SQLCMDUSER", "SQLCMDPASSWORD", "SQLCMDDBNAME")
_SERVER = re.compile(r"(?:(?:tcp|np|lpc|admin):)?[A-Za-z0-9_.\\\[\]:-]{1,255}(?:,\d{1,5})?")
_LONGEST_NAME = 128
_MESSAGE = re.compile(r"^Msg (\d+), Level (\d+), State \d+.*$", re.MULTILINE)


def declarations(values: Mapping[str, str | int]) -> str:
    """Variables of a batch. Text is written as the hexadecimal form of its UTF-16: nothing in it can end a constant.

    A line ``GO`` or ``!!`` inside of a quoted name would be obeyed by sqlcmd; in this form there are no such lines.

    >>> declarations({"database": "A'", "after": 7})
    'DECLARE @database nvarchar(4000) = CAST(0x41002700 AS nvarchar(4000));\\nDECLARE @after bigint = 7;\\n'
    """
    lines = []
    for name, value in values.items():
        if isinstance(value, int):
            lines.append(f"DECLARE @{name} bigint = {value:d};\n")
        else:
            text = value.encode("utf-16-le").hex()
            lines.append(f"DECLARE @{name} nvarchar(4000) = CAST(0x{text} AS nvarchar(4000));\n")
    return "".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlCmd:
    """How the program is called. Without a user it is the account's own Kerberos ticket that logs on."""

    account: Account
    server: str
    database: str
    procedures: str  # the database in which Ola Hallengren's procedures are
    environment: dict[str, str] = field(repr=False)

    def argv(self, batch: str) -> list[str | Path]:
        """Its words: encrypted (``-N``), no certificate trusted blindly, ending at an error (``-b``), no variables (``-x``)."""
        return [
            find_program("sqlcmd", hint="mssql-tools18 of Microsoft; run dbre where the server can be reached"),
            "-S",
            self.server,
            "-d",
            self.procedures,
            *([] if "SQLCMDUSER" in self.environment else ["-E"]),
            "-N",
            "-b",
            "-x",
            "-I",
            "-r",
            "1",
            "-l",
            "30",
            "-y",
            "0",
            "-Q",
            batch,
        ]

    async def batch(self, name: str, *, timeout_seconds: float, **values: str | int) -> Ended:
        """One batch of this package to its end, however it ends."""
        statement = resources.files("dbre.tools.sqlserver_backup").joinpath("sql", f"{name}.sql").read_text()
        return await call(
            self.argv(declarations(values) + statement),
            account=self.account,
            timeout_seconds=timeout_seconds,
            environment=self.environment,
        )

    async def document(self, name: str, *, timeout_seconds: float, **values: str | int) -> str:
        """What a batch printed. Raises: ProgramFailed."""
        ended = await self.batch(name, timeout_seconds=timeout_seconds, **values)
        if ended.status != 0 or failures(ended):
            raise self.failure(name, ended)
        return ended.stdout.decode(errors="replace")

    def failure(self, name: str, ended: Ended) -> ProgramFailed:
        """The error for a batch that went wrong."""
        said = "; ".join(failures(ended)) or ended.said or "it said nothing"
        return ProgramFailed(
            f"sqlcmd ended with {ended.status} at {name} on {self.server}: {said}",
            hint="see the privileges that docs/reference/backup-inspect.md lists",
            context={"program": "sqlcmd", "exit_status": ended.status, "command": name},
        )


def failures(ended: Ended) -> tuple[str, ...]:
    """Messages of severity above 10, each with the line behind it, wherever they were printed."""
    text = (ended.stderr + b"\n" + ended.stdout).decode(errors="replace").replace("\r\n", "\n")
    found = []
    for one in _MESSAGE.finditer(text):
        if int(one[2]) > 10:
            following = text[one.end() :].lstrip("\n").partition("\n")[0]
            found.append(one_line(f"Msg {one[1]}: {following}", limit=400))
    return tuple(found)


def open_client(*, account: Account, config: Path | None, database: str) -> SqlCmd:
    """The client for one database. Raises: UsageError, Denied for a settings file that others may read."""
    hidden = any(ord(one) < 32 or 0xD800 <= ord(one) < 0xE000 for one in database)
    if not database or len(database) > _LONGEST_NAME or hidden:
        raise UsageError(f"{quoted(database, limit=100)} is no name of a database", hint="--stanza NAME, as in sys.databases")
    settings = {} if config is None else read_settings(config, allowed=SETTINGS)
    server = settings.pop("SQLCMDSERVER", "localhost")
    if _SERVER.fullmatch(server) is None:
        raise UsageError(f"{quoted(server, limit=100)} is no server", hint="SQLCMDSERVER=host,port or host\\instance")
    if ("SQLCMDUSER" in settings) != ("SQLCMDPASSWORD" in settings):
        raise UsageError(f"{config} has only one of SQLCMDUSER and SQLCMDPASSWORD", hint="both, or none for Kerberos")
    procedures = settings.pop("SQLCMDDBNAME", "master")
    if procedures.startswith("-"):
        raise UsageError(f"{quoted(procedures, limit=100)} is no name of a database", hint="SQLCMDDBNAME=master")
    return SqlCmd(account=account, server=server, database=database, procedures=procedures, environment=settings)
