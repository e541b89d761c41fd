"""Copies of Redis: the append-only file with its base, or a snapshot; the append-only file is the log."""
