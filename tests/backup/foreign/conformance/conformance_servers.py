"""Which real servers the conformance suite may use: a test database each, because it makes backups of it.

``DBRE_ORACLE_DSN``     NAME?config=/FILE: net service with a wallet (or SID), and a file with ORACLE_HOME and TNS_ADMIN
``DBRE_SQLSERVER_DSN``  mssql://USER:PASSWORD@HOST,PORT/DATABASE: dbo.DatabaseBackup is in master
``DBRE_MONGODB_URI``    mongodb://...: of a replica set; with pbm on the path, PBM is proved as well
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from dbre.core.programs.account import Account
from dbre.ports.backup.repository import ForeignRepository
from dbre.tools.foreign_repository import open_repository

VARIABLES = ("DBRE_ORACLE_DSN", "DBRE_SQLSERVER_DSN", "DBRE_MONGODB_URI")


@dataclass(frozen=True)
class Server:
    name: str
    tool: str
    dsn: str = field(repr=False)

    def open(self, directory: Path) -> ForeignRepository:
        me = Account(name="me", uid=os.geteuid(), gid=os.getegid(), switch=False)
        config, stanza = self._settings(directory)
        return open_repository(self.tool, account=me, config=config, stanza=stanza)

    def _settings(self, directory: Path) -> tuple[Path | None, str]:
        if self.tool == "rman":
            name, _, query = self.dsn.partition("?")
            given = parse_qs(query).get("config")
            return (Path(given[0]) if given else None), name
        config = directory / "settings"
        config.touch(mode=0o600)
        if self.tool == "sqlserver":
            parts = urlsplit(self.dsn)
            host = parts.netloc.rpartition("@")[2]
            user, password = unquote(parts.username or ""), unquote(parts.password or "")
            config.write_text(f"SQLCMDSERVER={host}\nSQLCMDUSER={user}\nSQLCMDPASSWORD={password}\n")
            return config, unquote(parts.path.lstrip("/"))
        config.write_text(f'uri: "{self.dsn}"\n')
        if self.name == "pbm":
            return config, "pbm"
        dumps = directory / "dumps"
        dumps.mkdir()
        return config, str(dumps)


def servers() -> Iterator[Server]:
    """Those that the environment gives."""
    if dsn := os.environ.get("DBRE_ORACLE_DSN"):
        yield Server("rman", "rman", dsn)
    if dsn := os.environ.get("DBRE_SQLSERVER_DSN"):
        yield Server("sqlserver", "sqlserver", dsn)
    if dsn := os.environ.get("DBRE_MONGODB_URI"):
        yield Server("mongodump", "mongodb", dsn)
        if shutil.which("pbm"):
            yield Server("pbm", "mongodb", dsn)
