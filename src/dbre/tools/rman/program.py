"""The programs ``rman`` and ``sqlplus``: commands on their standard input, a wallet or the account itself as the secret.

Sources: Oracle Database Backup and Recovery Reference 19c, "RMAN", "CONNECT", "connectStringSpec"; SQL*Plus User's Guide
and Reference 19c, "Starting SQL*Plus" (``-S``, ``-L``, ``-M "CSV ON"``), "SET MARKUP CSV"; Security Guide 19c, "Managing
the Secure External Password Store" (``CONNECT /@alias``).
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from dbre.core.errors import UsageError
from dbre.core.programs.account import Account
from dbre.core.programs.errors import BinariesMissing, ProgramFailed
from dbre.core.text import quoted
from dbre.tools.call import Ended, call, find_program
from dbre.tools.private_settings import read_settings
from dbre.tools.rman.csv_rows import parse_rows

__all__ = ["SETTINGS", "OracleClient", "open_client"]

SETTINGS = ("ORACLE_HOME", "ORACLE_SID", "TNS_ADMIN")
_ALIAS = re.compile(r"[A-Za-z][A-Za-z0-9_.$#-]{0,127}")
_DATE_FORMAT = 'YYYY-MM-DD"T"HH24:MI:SS'  # one word: the columns of RMAN's lists stay apart
_ENVIRONMENT = {"NLS_LANG": "AMERICAN_AMERICA.AL32UTF8", "NLS_DATE_FORMAT": _DATE_FORMAT}
_SCRIPT = """WHENEVER OSERROR EXIT FAILURE
WHENEVER SQLERROR EXIT FAILURE
SET FEEDBACK OFF HEADING ON PAGESIZE 50000 LINESIZE 32767 LONG 2000 TRIMSPOOL ON TAB OFF DEFINE OFF SQLBLANKLINES ON
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleClient:
    """How the programs are called: by a net service whose password is in a wallet, or as an account of the dba group."""

    account: Account
    database: str  # net service with a wallet, else SID
    home: Path | None  # ORACLE_HOME; None: the programs are on the path
    environment: dict[str, str] = field(repr=False)

    @property
    def logon(self) -> str:
        """The connect string. A password never is in it: ``/`` stands for the wallet or the operating system."""
        return f"/@{self.database}" if "TNS_ADMIN" in self.environment else "/"

    def rman_argv(self) -> list[str | Path]:
        """Nothing of the connection is in it: ``CONNECT`` is the first command."""
        return [self._program("rman")]

    def rman_input(self, commands: Sequence[str]) -> bytes:
        """What rman reads. ``SYSBACKUP`` may back up and restore, and cannot read tables."""
        return "\n".join([f'CONNECT TARGET "{self.logon} AS SYSBACKUP"', *commands, "EXIT", ""]).encode()

    def sqlplus_argv(self) -> list[str | Path]:
        """One attempt to log on (``-L``), no banner (``-S``), rows as CSV (``-M``)."""
        return [self._program("sqlplus"), "-S", "-L", "-M", "CSV ON DELIMITER , QUOTE ON", self.logon, "AS", "SYSBACKUP"]

    async def rman(self, *commands: str, timeout_seconds: float) -> Ended:
        """Commands in one session, which ends at the first that fails. How it went is in what it printed."""
        return await call(
            self.rman_argv(),
            account=self.account,
            timeout_seconds=timeout_seconds,
            environment=self.environment,
            stdin=self.rman_input(commands),
        )

    async def rows(self, query: str, *, timeout_seconds: float) -> list[dict[str, str]]:
        """The rows of one query of this package. Raises: ProgramFailed."""
        statement = resources.files("dbre.tools.rman").joinpath("sql", f"{query}.sql").read_text()
        ended = await call(
            self.sqlplus_argv(),
            account=self.account,
            timeout_seconds=timeout_seconds,
            environment=self.environment,
            stdin=f"{_SCRIPT}{statement}\nPROMPT dbre-end\nEXIT SUCCESS\n".encode(),
        )
        return parse_rows(ended.stdout.decode(errors="replace"), query=query, status=ended.status, said=ended.said)

    async def version(self) -> str | None:
        """The release of RMAN, from its banner; None where it has none. Raises: BinariesMissing, ProgramFailed."""
        ended = await call(
            self.rman_argv(), account=self.account, timeout_seconds=60, environment=self.environment, stdin=b"EXIT\n"
        )
        text = ended.stdout.decode(errors="replace")
        if "Recovery Manager" not in text:
            raise ProgramFailed(
                f"{self._program('rman')} is not Oracle's Recovery Manager: {ended.said}",
                hint="another program of that name is first on the path: set ORACLE_HOME",
            )
        found = re.search(r"Release (\d+(?:\.\d+)+)", text)
        return found[1] if found else None

    def _program(self, name: str) -> Path:
        if self.home is None:
            return find_program(name, hint="run dbre where Oracle is installed, with ORACLE_HOME set")
        path = self.home / "bin" / name
        if not path.is_file():
            raise BinariesMissing(f"{path} is not there", hint="ORACLE_HOME must be that of the database or of a full client")
        return path


def open_client(*, account: Account, config: Path | None, database: str) -> OracleClient:
    """The client for one database. Raises: UsageError for a name that cannot be one, Denied for an open settings file."""
    if _ALIAS.fullmatch(database) is None:
        raise UsageError(
            f"{quoted(database, limit=100)} is neither a net service name nor a SID",
            hint="--stanza NAME, as in tnsnames.ora or ORACLE_SID",
        )
    known = {name: os.environ[name] for name in ("ORACLE_HOME", "TNS_ADMIN") if name in os.environ}
    settings = known if config is None else read_settings(config, allowed=SETTINGS)
    if "TNS_ADMIN" not in settings:
        settings = {"ORACLE_SID": database, **settings}
    home = Path(settings["ORACLE_HOME"]) if settings.get("ORACLE_HOME") else None
    return OracleClient(account=account, database=database, home=home, environment={**_ENVIRONMENT, **settings})
