"""Fixtures of the SLO tests; what tests import by name lives in ``slo_kit``."""

from slo_kit import place, sqlite_store, state_server, store

__all__ = ["place", "sqlite_store", "state_server", "store"]
