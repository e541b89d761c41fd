"""How far back an SLO looks: its window, and the longest window of its rules."""

from dbre.capabilities.slo.definition import SloInstance
from dbre.capabilities.slo.series import SLOT_SECONDS

__all__ = ["longest_look_back", "look_back_slots"]


def longest_look_back(instance: SloInstance) -> int:
    """How many seconds of slots an instance needs."""
    period = instance.definition.window.longest_seconds
    watched = instance.definition.watched_seconds
    return max([period, *watched, *(rule.long_seconds for rule in instance.definition.rules_for(period))])


def look_back_slots(instance: SloInstance) -> int:
    """How many slots an instance needs, the present one included."""
    return longest_look_back(instance) // SLOT_SECONDS + 1
