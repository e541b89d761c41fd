"""Throw-away PostgreSQL: where its programs are, a template data directory, primary and streaming replicas."""

from dbre.engines.postgres.binaries import PostgresBinaries, find_postgres, list_postgres
from dbre.lab.postgres.server import PostgresServer

__all__ = ["PostgresBinaries", "PostgresServer", "find_postgres", "list_postgres"]
