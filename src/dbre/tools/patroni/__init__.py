"""Patroni over its REST API: who leads by its word, its settings, its history, and switchovers whose outcome is known."""

from dbre.tools.patroni.client import PatroniClient, PatroniRefused
from dbre.tools.patroni.liveness import api_address, living
from dbre.tools.patroni.model import (
    ClusterView,
    Member,
    NodeState,
    SwitchoverAnswer,
    SwitchoverOutcome,
    TimelineChange,
)

__all__ = [
    "ClusterView",
    "Member",
    "NodeState",
    "PatroniClient",
    "PatroniRefused",
    "SwitchoverAnswer",
    "SwitchoverOutcome",
    "TimelineChange",
    "api_address",
    "living",
]
