"""The keys by which dbre finds its own operations again belong to dbre alone."""

import pytest
from desk_kit import ALICE, Office

from dbre.core.errors import UsageError
from dbre.core.identity.model import Grant, Principal, PrincipalKind, Role
from dbre.core.operation.desk import Submission
from dbre.core.selector import Selector
from dbre.core.store import Store

KEYS = ["child:0192f3c1-0000-7000-8000-000000000000:abc:def", "schedule:nightly:2026-11-22T00:00:00Z"]


@pytest.mark.parametrize("key", KEYS)
async def test_a_person_cannot_take_the_key_of_a_child_or_of_a_slot(store: Store, key: str) -> None:
    with pytest.raises(UsageError, match="kept for dbre"):
        await Office(store).desk(ALICE).request("test.set", {"cluster": "orders"}, Submission(dedup_key=key))


@pytest.mark.parametrize("key", KEYS)
async def test_dbre_itself_can(store: Store, key: str) -> None:
    grants = (Grant(role=Role.OPERATOR, selector=Selector()),)
    system = Principal(name="schedule:nightly", kind=PrincipalKind.SYSTEM, grants=grants)
    record = await Office(store).desk(system).request("test.set", {"cluster": "orders"}, Submission(dedup_key=key))
    assert record.dedup_key == key
