"""Drills: a fault on purpose, what clients saw of it, and how that compares with what the settings promise."""
