"""Planned change of primary: nothing is lost, or nothing happens."""
