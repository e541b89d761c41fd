"""A changed promise: what was spent under the old one stays spent as the old one counted it."""

from datetime import timedelta
from fractions import Fraction

from slo_kit import START, World, definition

from dbre.capabilities.slo.correction import Correction
from dbre.capabilities.slo.correction_repository import add_correction
from dbre.capabilities.slo.counting import CountedSlot
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.definition import Policies
from dbre.capabilities.slo.reading import report
from dbre.capabilities.slo.series import slot_at
from dbre.capabilities.slo.sli import Sli, SliKind
from dbre.capabilities.slo.sources import EventSource
from dbre.capabilities.slo.window import CalendarUnit, CalendarWindow
from dbre.core.store import Store
from dbre.ports.probe import Outcome


async def spent(one: World, *, bad: int) -> None:
    await one.engine.tick()
    await one.probe(Outcome.GOOD, times=20, tick=False)
    await one.probe(Outcome.BAD, times=bad, tick=False)
    await one.engine.tick()


async def both(one: World):
    (stored,) = await report(one.store, one.definitions, one.fleet, one.clock.now())
    return await one.status(), stored


async def test_a_new_target_judges_only_what_comes_after_it(store: Store) -> None:
    one = World(store, definitions=(definition(target="0.99"),))
    await spent(one, bad=10)
    one.definitions = (definition(target="0.999"),)
    one.start()
    await spent(one, bad=5)
    scheduled = 259_200
    for status in await both(one):
        (old,) = status.versions
        assert (str(old.objective), old.counts.bad) == ("0.99", 10)
        assert old.consumed_ratio == Fraction(10, scheduled // 100)
        assert status.budget.consumed_ratio == old.consumed_ratio + Fraction(5 * 1000, scheduled)
        assert status.counts.bad == 15
        assert status.budget.remaining_bad == status.budget.allowed_bad * status.budget.remaining_ratio


async def test_a_new_indicator_keeps_what_the_old_one_spent(sqlite_store: Store) -> None:
    one = World(sqlite_store)
    await spent(one, bad=10)
    one.definitions = (definition(sli=Sli(kind=SliKind.LATENCY, limit_ms=100)),)
    one.start()
    await spent(one, bad=3)
    for status in await both(one):
        (old,) = status.versions
        assert old.counts.bad == 10
        assert status.counts.bad == 3
        assert status.budget.consumed_ratio == Fraction(13 * 1000, 259_200)


async def test_a_correction_takes_out_what_another_indicator_counted_too(sqlite_store: Store) -> None:
    one = World(sqlite_store)
    await spent(one, bad=10)
    one.definitions = (definition(sli=Sli(kind=SliKind.LATENCY, limit_ms=100)),)
    one.start()
    await spent(one, bad=3)
    first = slot_at(START) + 20
    correction = Correction(
        id="c1",
        slo="orders-writes",
        cluster="orders",
        group="",
        start_slot=first,
        end_slot=first + 6,
        reason="rehearsed switchover",
        operation_id=None,
        created_by="ana",
        created_at=START,
    )
    async with sqlite_store.begin() as connection:
        await add_correction(connection, correction)
    one.wait(10)
    await one.engine.tick()
    for status in await both(one):
        (old,) = status.versions
        assert old.counts.bad == 4
        assert status.budget.consumed_ratio == Fraction(7 * 1000, 259_200)
        assert status.raw_budget is not None
        assert status.raw_budget.consumed_ratio == Fraction(13 * 1000, 259_200)


async def test_a_group_that_comes_back_keeps_what_another_indicator_spent_of_it(sqlite_store: Store) -> None:
    by_tenant = EventSource(group_attribute="tenant")
    one = World(sqlite_store, definitions=(definition(sli=Sli(kind=SliKind.AVAILABILITY, source=by_tenant)),))
    await one.engine.tick()
    slot = slot_at(START)
    one.engine.take([CountedSlot("orders-writes", "orders", "a", slot, Counts(good=90, bad=10))])
    await one.engine.tick()
    one.definitions = (definition(sli=Sli(kind=SliKind.LATENCY, limit_ms=100, source=by_tenant)),)
    one.wait(100)
    await one.start().tick()
    one.engine.take([CountedSlot("orders-writes", "orders", "a", slot + 10, Counts(good=50, bad=1))])
    await one.engine.tick()
    one.wait(10)
    running = {status.group: status.budget.consumed_ratio for status in await one.engine.status()}
    stored = await report(sqlite_store, one.definitions, one.fleet, one.clock.now())
    assert running == {status.group: status.budget.consumed_ratio for status in stored}
    assert {part.counts.bad for status in stored for part in status.versions} == {10}


async def test_the_old_version_ages_out_of_the_window(sqlite_store: Store) -> None:
    one = World(sqlite_store, definitions=(definition(target="0.99", days=1),))
    await spent(one, bad=10)
    one.definitions = (definition(target="0.999", days=1),)
    await one.start().tick()
    one.wait(timedelta(days=2).total_seconds())
    for status in await both(one):
        assert (status.versions, status.budget.consumed_ratio, status.counts) == ((), 0, Counts())


async def test_a_prorated_slo_has_the_part_of_the_budget_that_is_left_of_its_first_window(sqlite_store: Store) -> None:
    month = CalendarWindow(unit=CalendarUnit.MONTH, time_zone="UTC")
    whole = definition("whole", window=month)
    part = definition("part", window=month, policies=Policies(is_prorated=True))
    one = World(sqlite_store, definitions=(whole, part))
    one.wait(15 * 86_400)
    await one.start().tick()
    allowed = {status.name: status.budget.allowed_bad for status in await one.engine.status()}
    assert allowed == {"whole": Fraction(2592, 10), "part": Fraction(1296, 10)}
    stored = await report(sqlite_store, one.definitions, one.fleet, one.clock.now())
    assert {status.name: status.budget.allowed_bad for status in stored} == allowed
