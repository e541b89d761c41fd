"""Which SLO an event counts for."""

import pytest
from ingest_kit import DEFINITIONS, FLEET, matcher, slo
from slo_kit import definition

from dbre.capabilities.slo.definition import OTHER_GROUP
from dbre.capabilities.slo.ingest.matching import Matcher, Target


def test_an_event_may_name_its_slo():
    found = matcher()
    assert found.named("requests@orders") == Target("requests", "orders", "", None)
    assert found.named("fast@billing") == Target("fast", "billing", "", 0)
    assert found.named("tenants@orders/seven") == Target("tenants", "orders", "seven", None)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("request@orders", "no SLO with an event source is named request: did you mean requests?"),
        ("requests@nowhere", "SLO requests does not select cluster nowhere"),
        ("requests", "does not select cluster (none named)"),
        ("requests@orders/a", "SLO requests has no groups"),
        ("writes@orders", "SLO writes is measured by its source probe, not by events"),
        ("", "no SLO with an event source is named"),
        ("\x1b[31m@x", "no SLO with an event source is named"),
    ],
)
def test_a_name_of_nothing_says_why(name, reason):
    found = Matcher((*DEFINITIONS, definition(name="writes")), FLEET).named(name)
    assert isinstance(found, str)
    assert reason in found
    assert "\x1b" not in found


def test_an_event_without_a_group_counts_for_the_others():
    found = matcher().named("tenants@orders")
    assert isinstance(found, Target)
    assert found.group == OTHER_GROUP


def test_all_terms_of_a_match_must_hold_and_one_value_of_each_is_enough():
    found = Matcher((slo("both", match=(("service", ("a", "b")), ("db.system.name", ("postgresql",)))),), FLEET)
    cluster = ("dbre.cluster", "orders")
    system = ("db.system.name", "postgresql")
    assert found.described((system, cluster, ("service", "b")))
    assert not found.described((system, cluster, ("service", "c")))
    assert not found.described((cluster, ("service", "a")))


def test_the_cluster_is_named_or_known_by_its_address_or_the_only_one():
    service = ("service", "cart")
    address = FLEET.clusters[0].instances[0].address
    both = matcher()
    assert [one.cluster for one in both.described((("dbre.cluster", "billing"), service))] == ["billing"]
    assert both.described((("dbre.cluster", "nowhere"), service)) == ()
    # both clusters of the fixture have the same address: nobody can tell which one it is
    assert both.described((("server.address", address.host), ("server.port", str(address.port)), service)) == ()
    assert both.described((service,)) == ()
    one = Matcher(DEFINITIONS, type(FLEET)(clusters=FLEET.clusters[:1]))
    assert [found.cluster for found in one.described((("server.address", address.host), service))] == ["orders"]
    assert [found.cluster for found in one.described((service,))] == ["orders"]


def test_an_slo_without_a_match_takes_only_events_that_name_it():
    assert {one.slo for one in matcher().described((("dbre.cluster", "orders"), ("service", "cart")))} == {"described"}


def test_what_decides_is_said():
    assert matcher().attribute_names == {"dbre.cluster", "server.address", "server.port", "service", "tenant"}


def test_memory_of_names_is_bounded(monkeypatch):
    monkeypatch.setattr("dbre.capabilities.slo.ingest.matching._REMEMBERED", 10)
    found = matcher()
    for number in range(100):
        found.named(f"tenants@orders/{number}")
        found.described((("n", str(number)),))
    assert len(found._named) <= 10
    assert len(found._described) <= 10
