"""Several SLOs seen as one: exact, null where nobody measured, strict about what is written."""

from datetime import timedelta
from fractions import Fraction

import pytest
from pydantic import TypeAdapter, ValidationError
from slo_kit import START, World, definition

from dbre.capabilities.slo.composite_documents import CompositeDocument, composites_from
from dbre.capabilities.slo.composite_reading import composite_report
from dbre.capabilities.slo.errors import UnknownSlo
from dbre.core.fleet import EndpointPurpose
from dbre.core.store import Store
from dbre.ports.probe import Outcome

SLOS = (definition("writes", target="0.99"), definition("reads", target="0.9", sli=None))


def composites(**changes: object):
    given = {"name": "shop", "of": [{"slo": "writes"}, {"slo": "reads"}], **changes}
    return composites_from((TypeAdapter(CompositeDocument).validate_python(given),))


def world(store: Store) -> World:
    from dataclasses import replace

    writes = SLOS[0]
    return World(store, definitions=(writes, replace(SLOS[1], sli=replace(writes.sli, purpose=EndpointPurpose.READ))))


async def measured(one: World) -> None:
    for number in range(100):
        one.observe(Outcome.BAD if number < 1 else Outcome.GOOD)
        one.observe(Outcome.BAD if number < 20 else Outcome.GOOD, purpose=EndpointPurpose.READ)
        one.wait(10)
    await one.engine.tick()


@pytest.mark.parametrize(
    ("join", "weight", "ratio", "objective"),
    [
        ("weighted", "3", Fraction(3 * 99 + 80, 400), Fraction(3 * 99 + 90, 400)),
        ("worst", "1", Fraction(80, 100), Fraction(9, 10)),
        ("journey", "1", Fraction(99 * 80, 10_000), Fraction(99 * 90, 10_000)),
    ],
)
async def test_members_become_one(sqlite_store: Store, join: str, weight: str, ratio: Fraction, objective: Fraction) -> None:
    one = world(sqlite_store)
    await measured(one)
    wanted = composites(join=join, of=[{"slo": "writes", "weight": weight}, {"slo": "reads"}])
    (found,) = await composite_report(sqlite_store, wanted, one.definitions, one.fleet, one.clock.now())
    left = {status.name: status.budget.remaining_ratio for status in found.members}
    expected = {
        "weighted": (3 * left["writes"] + left["reads"]) / 4,
        "worst": left["reads"],
        "journey": 1 - (1 - ratio) / (1 - objective),
    }
    assert (found.ratio, found.objective, found.remaining_ratio) == (ratio, objective, expected[join])
    assert found.worst == "reads@orders"


async def test_a_member_that_was_not_measured_makes_the_whole_unknown(sqlite_store: Store) -> None:
    one = world(sqlite_store)
    one.observe(Outcome.GOOD)
    await one.engine.tick()
    for join in ("weighted", "worst", "journey"):
        (found,) = await composite_report(sqlite_store, composites(join=join), one.definitions, one.fleet, START)
        assert (found.ratio, found.remaining_ratio) == (None, None)


async def test_a_member_that_is_no_slo_is_named_with_a_guess(sqlite_store: Store) -> None:
    one, wanted = world(sqlite_store), composites(of=[{"slo": "wrties"}, {"slo": "reads"}])
    with pytest.raises(UnknownSlo, match="wrties") as caught:
        await composite_report(sqlite_store, wanted, one.definitions, one.fleet, START + timedelta(hours=1))
    assert caught.value.hint == "did you mean writes?"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"of": [{"slo": "writes"}, {"slo": "writes"}]}, "twice a member"),
        ({"of": [{"slo": "writes"}]}, "at least 2"),
        ({"join": "journey", "of": [{"slo": "writes", "weight": 2}, {"slo": "reads"}]}, "weights mean nothing"),
        ({"of": [{"slo": "writes", "weight": 0}, {"slo": "reads"}]}, "greater than 0"),
    ],
)
def test_what_contradicts_itself_is_refused(changes, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        composites(**changes)
