"""Stopping every experiment at once, and letting them begin again."""
