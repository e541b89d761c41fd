"""What evidence says of the budgets around an operation."""

from slo_kit import World

from dbre.capabilities.slo.before_and_after import before_and_after
from dbre.ports.probe import Outcome


async def test_an_operation_is_told_beside_what_its_minutes_cost(store):
    world = World(store)
    await world.probe(Outcome.GOOD, times=60)
    began = world.clock.now()
    await world.probe(Outcome.BAD, times=6)
    ended = world.clock.now()
    await world.probe(Outcome.BAD, times=50)  # later: not its doing
    told = await before_and_after(store, world.definitions, world.fleet, cluster="orders", began=began, ended=ended)
    assert told is not None
    (one,) = (row for row in told["slos"] if row["slo"] == "orders-writes@orders")
    before, after = one["before"], one["after"]
    assert (before["good"], before["bad"]) == (60, 0)
    assert after["bad"] in (6, 7)  # the slot of the last moment may hold the next probe
    assert before["budget_remaining_ratio"] == 1 > after["budget_remaining_ratio"]


async def test_a_cluster_without_slos_has_nothing_to_tell(store):
    world = World(store)
    now = world.clock.now()
    assert await before_and_after(store, world.definitions, world.fleet, cluster="other", began=now, ended=now) is None
