"""Fixtures of the tests of gates; what tests import by name lives in ``gate_kit``."""

from gate_kit import state_server, store

__all__ = ["state_server", "store"]
