"""What an incident cost and when it began, from the slots of a real store."""

from datetime import timedelta
from fractions import Fraction

from slo_kit import START, World

from dbre.capabilities.slo.spending import began_to_burn, spent_between
from dbre.ports.probe import Outcome


async def _began(world: World, slo: str = "orders-writes"):
    return await began_to_burn(
        world.store,
        world.definitions,
        world.fleet,
        slo=slo,
        cluster="orders",
        group="",
        fired_at=world.clock.now(),
        window_seconds=3600,
    )


async def test_the_beginning_is_the_first_bad_event_of_an_unbroken_story(store):
    world = World(store)
    await world.probe(Outcome.BAD, tick=False)  # an old blip
    await world.probe(Outcome.GOOD, times=40, tick=False)
    began = world.clock.now()
    await world.probe(Outcome.BAD, times=3, tick=False)
    await world.probe(Outcome.GOOD, times=10, tick=False)  # less than five calm minutes
    await world.probe(Outcome.BAD, times=3, tick=False)
    assert await _began(world) == began
    assert began == START + timedelta(seconds=410)
    assert await _began(world, "gone") is None  # taken out of the configuration since


async def test_nothing_bad_has_no_beginning_and_no_cost(store):
    world = World(store)
    await world.probe(Outcome.GOOD, times=5, tick=False)
    assert await _began(world) is None
    now = world.clock.now()
    options = {"clusters": ["orders"], "since": START, "until": now}
    assert await spent_between(world.store, world.definitions, world.fleet, **options) == []


async def test_the_cost_is_the_share_of_the_whole_budget_exactly(store):
    world = World(store)
    await world.probe(Outcome.BAD, times=4, tick=False)  # before: not its doing
    since = world.clock.now()
    await world.probe(Outcome.GOOD, times=6, tick=False)
    await world.probe(Outcome.BAD, times=5, tick=False)
    until = world.clock.now() - timedelta(seconds=1)
    await world.probe(Outcome.BAD, times=7, tick=False)  # after it
    found = await spent_between(world.store, world.definitions, world.fleet, clusters=["orders"], since=since, until=until)
    (one,) = [each for each in found if each.instance == "orders-writes@orders"]
    assert (one.good, one.bad) == (6, 5)
    allowed = (await world.status()).budget.allowed_bad
    assert one.consumed == Fraction(5) / allowed
    assert await spent_between(world.store, world.definitions, world.fleet, clusters=["other"], since=since, until=until) == ()
    assert await spent_between(world.store, world.definitions, world.fleet, clusters=["orders"], since=until, until=since) == ()
