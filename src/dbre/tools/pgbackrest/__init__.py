"""pgBackRest as a program: its repositories read, and its own commands run; what it says of itself is not believed."""

from dbre.tools.pgbackrest.repository import PgBackRestRepository

__all__ = ["PgBackRestRepository"]
