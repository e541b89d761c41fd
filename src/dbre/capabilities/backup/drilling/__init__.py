"""Restores that prove backups, on a schedule, with a verdict."""
