"""Incidents as metrics: counted by state and severity, and absent where nobody knows."""

import pytest
from incident_kit import IncidentWorld

from dbre.capabilities.incident.desk import NewIncident
from dbre.capabilities.incident.metrics import IncidentMetrics
from dbre.capabilities.incident.model import Severity
from dbre.capabilities.incident.states import IncidentState
from dbre.core.errors import StoreError
from dbre.core.store.errors import StoreTimeout
from dbre.core.telemetry import Metrics


def value(metrics: Metrics, state: str, severity: str) -> float | None:
    return metrics.registry.get_sample_value("dbre_incidents", {"state": state, "severity": severity})


async def test_incidents_are_counted_and_absent_while_the_store_does_not_answer(
    world: IncidentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = Metrics(version="1")
    counted = IncidentMetrics(metrics, world.store, world.clock)
    assert value(metrics, "declared", "sev2") is None, "nobody has looked yet"
    for title in ("a", "b"):
        await world.desk().open(NewIncident(title=title, severity=Severity.SEV2, cluster="orders"))
    await world.desk().move("INC-2", IncidentState.RESOLVED)
    await counted.look()
    assert [value(metrics, state, "sev2") for state in ("declared", "resolved", "detected")] == [1, 1, 0]

    def unavailable() -> None:
        raise StoreTimeout("too slow")

    monkeypatch.setattr(world.store, "read", unavailable)
    assert issubclass(StoreTimeout, StoreError)
    await counted.look()
    assert value(metrics, "declared", "sev2") is None
