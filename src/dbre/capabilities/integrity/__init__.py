"""Integrity: rows, pages and indexes of a server, compared and checked; also of one that came out of a backup."""
