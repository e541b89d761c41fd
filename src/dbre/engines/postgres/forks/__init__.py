"""Facet ``fork`` of PostgreSQL: the writes on a timeline that was left behind."""
