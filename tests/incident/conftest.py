"""Fixtures of the tests of incidents; what tests import by name lives in ``incident_kit``."""

from incident_kit import incident_template, postgres_world, world

__all__ = ["incident_template", "postgres_world", "world"]
