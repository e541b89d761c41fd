"""Many alerts of one incident, and a timeline that does not end."""

import pytest
from incident_kit import IncidentWorld

from dbre.capabilities.incident import responder


async def test_what_happened_before_is_looked_at_once_for_each_cluster(
    world: IncidentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    real = responder.recent

    async def counted(*arguments: object, **named: object) -> object:
        looks.append(named)
        return await real(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(responder, "recent", counted)
    for number in range(5):
        await world.fire(f"a{number}", slo=f"s{number}")
    assert len(looks) == 1
    await world.happen("observe.endpoint_bad", "stock", {"cluster": "stock", "purpose": "write", "outcome": "bad"})
    await world.fire("b1", cluster="stock")  # a neighbour joins: what happened there is written down too
    assert len(looks) == 2
    assert [one.kind.value for one in await world.timeline()].count("probe") == 1


async def test_a_timeline_that_is_full_says_so_once_and_takes_what_people_write(
    world: IncidentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(responder, "_MOST_LINES", 4)
    await world.fire("a1")
    for _ in range(6):
        await world.happen("observe.endpoint_bad", "orders", {"cluster": "orders", "purpose": "write", "outcome": "bad"})
    await world.desk().note("1", "we look at the disks")
    texts = [one.text for one in await world.timeline()]
    assert len(texts) == 6
    assert sum("not written down any more" in one for one in texts) == 1
    assert "we look at the disks" in texts
