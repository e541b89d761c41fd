"""Alerts about what is left of a budget, and about when it will be gone."""

from decimal import Decimal

import pytest
from pydantic import TypeAdapter, ValidationError
from slo_kit import START, World, definition

from dbre.capabilities.slo.budgeting_method import NoSliceData, TimeSlices
from dbre.capabilities.slo.counting import CountedSlot
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.documents import SloDocument
from dbre.capabilities.slo.series import slot_at
from dbre.capabilities.slo.sli import Sli, SliKind
from dbre.capabilities.slo.sources import EventSource
from dbre.core.store import Store
from dbre.ports.probe import Outcome

DOCUMENT = {
    "name": "writes",
    "selector": {"environment": "prod"},
    "sli": {"kind": "availability"},
    "target": "99%",
    "window": {"rolling": "1d"},
    "alerts": [],
}


def rules(*alerts: dict[str, object]):
    return TypeAdapter(SloDocument).validate_python({**DOCUMENT, "budget_alerts": list(alerts)}).definition().budget_rules


def test_names_follow_from_what_is_watched() -> None:
    found = rules(
        {"severity": "ticket", "remaining": "25%"},
        {"severity": "page", "remaining": "0%"},
        {"severity": "ticket", "within": "3d"},
        {"severity": "ticket", "remaining": "50%"},
    )
    assert [one.name for one in found] == ["budget-25", "budget-0", "exhaustion-3d", "budget-50"]


@pytest.mark.parametrize(
    ("alerts", "message"),
    [
        ([{"severity": "page"}], "either remaining or within"),
        ([{"severity": "page", "remaining": "10%", "within": "1d"}], "either remaining or within"),
        ([{"severity": "page", "remaining": "10%"}, {"severity": "ticket", "remaining": "10%"}], "two alert rules are named"),
    ],
)
def test_rules_that_contradict_themselves_are_refused(alerts, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        rules(*alerts)


async def test_a_ticket_comes_when_a_quarter_is_left_and_a_page_when_nothing_is(sqlite_store: Store) -> None:
    wanted = rules({"severity": "ticket", "remaining": "25%"}, {"severity": "page", "remaining": "0%"})
    one = World(sqlite_store, definitions=(definition(target="0.99", days=1, rules=(), budget_rules=wanted),))
    await one.engine.tick()
    await one.probe(Outcome.BAD, times=64)  # of 86.4
    assert await one.events() == []
    await one.probe(Outcome.BAD)
    assert [event.data["rule"] for event in await one.events()] == ["budget-25"]
    await one.probe(Outcome.BAD, times=22)
    events = await one.events()
    assert [(event.data["rule"], event.data["severity"]) for event in events] == [("budget-25", "ticket"), ("budget-0", "page")]
    assert "(limit 25" in events[0].data["summary"]


async def test_a_pace_that_ends_the_budget_soon_is_told_unless_it_may_be_chance(sqlite_store: Store) -> None:
    wanted = rules({"severity": "page", "within": "12h"})
    one = World(sqlite_store, definitions=(definition(target="0.99", days=1, rules=(), budget_rules=wanted),))
    await one.engine.tick()
    await one.probe(Outcome.GOOD, times=300)
    await one.probe(Outcome.BAD, times=8)
    assert await one.events() == []  # 8 of 308 are not yet more than chance gives at 1 %
    await one.probe(Outcome.BAD, times=12)
    (event,) = await one.events()
    assert event.data["rule"] == "exhaustion-12h"
    assert "will be gone in" in event.data["summary"]


async def test_slices_without_an_event_spend_a_budget_too(sqlite_store: Store) -> None:
    wanted = rules({"severity": "ticket", "remaining": "50%"})
    minutes = TimeSlices(seconds=60, target=Decimal("0.95"), no_data=NoSliceData.BAD)
    requests = Sli(kind=SliKind.AVAILABILITY, source=EventSource())
    slo = definition("checkout", sli=requests, target="0.99", days=1, rules=(), budget_rules=wanted, slices=minutes)
    one = World(sqlite_store, definitions=(slo,))
    await one.engine.tick()
    one.engine.take([CountedSlot("checkout", "orders", "", slot_at(START), Counts(good=1))])
    for _ in range(8):  # of 14.4 minutes: the source lives, and nothing comes
        one.wait(60)
        one.engine.heard("checkout", "orders")
        await one.engine.tick()
    assert await one.events() == []
    one.wait(65)
    one.engine.heard("checkout", "orders")
    await one.engine.tick()
    assert [event.data["rule"] for event in await one.events()] == ["budget-50"]


async def test_what_an_earlier_version_spent_is_told_though_nothing_bad_came_since(sqlite_store: Store) -> None:
    wanted = rules({"severity": "ticket", "remaining": "25%"})
    one = World(sqlite_store, definitions=(definition(target="0.99", days=1, rules=()),))
    await one.engine.tick()
    await one.probe(Outcome.BAD, times=80, tick=False)
    await one.engine.tick()
    latency = Sli(kind=SliKind.LATENCY, limit_ms=100)
    one.definitions = (definition(target="0.99", days=1, rules=(), sli=latency, budget_rules=wanted),)
    await one.start().tick()
    for _ in range(2):
        one.observe(Outcome.GOOD, latency=0.001)
        one.wait(10)
        await one.engine.tick()
    assert [event.data["rule"] for event in await one.events()] == ["budget-25"]
