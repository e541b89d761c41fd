"""Copies of PostgreSQL's files, its log, and the way back: with PostgreSQL's own programs over the replication protocol."""
