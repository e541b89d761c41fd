"""Dumps of PostgreSQL: rows and statements by pg_dump, loaded into a new cluster by pg_restore."""
