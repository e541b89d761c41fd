"""Fixtures of the tests of incidents; what tests import by name lives in ``incident_kit``."""

from incident_kit import postgres_world, world

__all__ = ["postgres_world", "world"]
