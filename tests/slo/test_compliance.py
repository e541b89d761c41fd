"""What SLOs counted over a span, for reports."""

from datetime import timedelta
from fractions import Fraction

from slo_kit import START, World, definition

from dbre.capabilities.slo.compliance import compliance_between
from dbre.capabilities.slo.counts import Counts
from dbre.core.store import Store
from dbre.ports.probe import Outcome


async def test_a_span_counts_its_own_slots_only_and_unmeasured_slos_are_unknown(store: Store) -> None:
    world = World(store, definitions=(definition(), definition("other-sli", target="0.9")))
    for index in range(30):
        world.observe(Outcome.BAD if index < 10 or index == 25 else Outcome.GOOD)
        world.wait(10)
    await world.engine.tick()
    since, until = START + timedelta(seconds=100), START + timedelta(seconds=260)
    found = await compliance_between(store, world.definitions, world.fleet, since=since, until=until)
    assert [(one.id, one.counts) for one in found] == [
        ("orders-writes@orders", Counts(good=15, bad=1)),
        ("other-sli@orders", Counts(good=15, bad=1)),
    ]
    assert found[0].remaining_ratio == 1 - Fraction(11) / Fraction("259.2")  # of its whole window, at the end of the span
    before = await compliance_between(store, world.definitions, world.fleet, since=START - timedelta(days=1), until=START)
    assert [(one.counts, one.remaining_ratio) for one in before] == [(Counts(), None), (Counts(), None)]
