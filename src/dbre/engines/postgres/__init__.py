"""PostgreSQL 15 and later, by psycopg 3."""

from dbre.engines.postgres.engine import PostgresEngine

__all__ = ["PostgresEngine"]
