"""Tablespaces outside of the data directory: in a copy they lie inside of it, so that a set is one directory without links."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dbre.engines.postgres.backup.asking import Questions

__all__ = ["Tablespace", "bring_home", "mapping_options", "read_tablespaces"]

_ASIDE = "dbre_tablespaces"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tablespace:
    """One tablespace of a server."""

    id: str
    name: str
    location: str  # absolute; relative for one that lies inside of the data directory already

    @property
    def is_outside(self) -> bool:
        """Whether its files lie elsewhere than in the data directory."""
        return self.location.startswith("/")


async def read_tablespaces(questions: Questions) -> tuple[Tablespace, ...]:
    """The tablespaces that are not PostgreSQL's own."""
    rows = await questions.rows("backup_tablespaces")
    return tuple(Tablespace(id=row.id, name=row.name, location=row.location) for row in rows)


def mapping_options(tablespaces: Sequence[Tablespace], directory: Path) -> list[str]:
    """Where ``pg_basebackup`` puts their files: it wants absolute paths, and links to them."""
    return [
        f"--tablespace-mapping={_escaped(one.location)}={_escaped(str(directory / _ASIDE / one.id))}"
        for one in tablespaces
        if one.is_outside
    ]


def bring_home(tablespaces: Sequence[Tablespace], directory: Path) -> None:
    """Put a directory in the place of each link; PostgreSQL 15 and later can start with that."""
    for one in tablespaces:
        if one.is_outside:
            link = directory / "pg_tblspc" / one.id
            link.unlink()
            (directory / _ASIDE / one.id).rename(link)
    if (directory / _ASIDE).is_dir():
        shutil.rmtree(directory / _ASIDE)


def _escaped(path: str) -> str:
    return path.replace("=", "\\=")  # pg_basebackup takes a backslash elsewhere for itself
