"""A site is lost, and the cluster is led home again: real servers."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from disaster_kit import CLOCK, Sites, results
from rejoin_kit import entries, forkable, run
from switchover_kit import controlled, roles

from dbre.capabilities.ha.disaster.measures import Action
from dbre.capabilities.ha.disaster.repository import newest
from dbre.capabilities.ha.failover.document import FailoverInput
from dbre.capabilities.ha.failover.operation import FailOver
from dbre.capabilities.ha.failover.surveying import FailoverRefused
from dbre.core.errors import PrecheckFailed
from dbre.core.operation.desk import OperationFilter
from dbre.core.operation.listing import list_operations
from dbre.core.operation.states import OperationState
from dbre.core.store import Store, open_store
from dbre.ports.session import Role
from dbre.testing.fixtures import PostgresPair

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 'state.db'}", clock=CLOCK, exclusive=False, migrate=True) as opened:
        yield opened


@pytest.fixture
async def pair(lab_site: Any) -> AsyncIterator[PostgresPair]:
    async with forkable(lab_site, "dr") as found:
        yield found


@pytest.fixture
def sites(pair: PostgresPair, lab_site: Any, tmp_path: Path) -> Sites:
    fleet = controlled("postgresql", {"n1": pair.primary, "n2": pair.replica})
    return Sites(fleet=fleet, url=f"sqlite:///{tmp_path / 'state.db'}", site=lab_site, directory=tmp_path)


async def kept(store: Store) -> dict[Action, Any]:
    async with store.read() as connection:
        return {action: one.run for action, one in (await newest(connection, "shop")).items()}


async def operations_of(store: Store) -> list[str]:
    """Kinds, as they were begun."""
    async with store.read() as connection:
        found = await list_operations(connection, OperationFilter(limit=20), may_see=lambda _: True)
    return [one.planned.kind for one in sorted(found, key=lambda one: one.created_at)]


async def test_a_site_is_lost_and_the_cluster_is_led_home(store: Store, sites: Sites, pair: PostgresPair) -> None:
    servers = {"n1": pair.primary, "n2": pair.replica}
    with pytest.raises(FailoverRefused, match="site_lost: n1 answers"):
        await sites.planned(store, "ha.dr_failover", accept_loss=True)
    await pair.primary.kill()
    with pytest.raises(FailoverRefused, match="loss: unknown"):
        await sites.planned(store, "ha.dr_failover", primary="n1")
    lost = await sites.do(store, "ha.dr_failover", primary="n1", accept_loss=True)
    assert lost.state is OperationState.SUCCEEDED, lost.error
    assert results(lost)["fence"]["seen"] == "no process is left"
    run_ = (await kept(store))[Action.FAILOVER]
    assert (run_.site_before, run_.site_after, run_.primary_after, run_.failed) == ("east", "west", "n2", ())
    assert run_.achieved_rto_seconds > 0
    assert run_.lost_seconds is None  # nobody had heard how far it was
    again_by_itself = FailoverInput(cluster="shop", primary="n1", automatic=True)
    found = await FailOver(sites.ground(store).failovers).survey(again_by_itself)
    (block,) = [one for one in found.decision.reasons if one.rule == "block_period"]
    assert (block.is_met, block.value.startswith("the last failover ended")) == (False, True)  # a site's counts as any other
    await run(pair.replica, "INSERT INTO ledger VALUES ('in the west')")

    back = await sites.do(store, "ha.dr_failback")
    assert back.state is OperationState.SUCCEEDED, back.error
    assert [one.name for one in back.planned.plan.steps] == ["failback", "prove"]
    assert await roles(servers) == {"n1": Role.PRIMARY, "n2": Role.REPLICA}
    assert await entries(pair.primary) == ["before", "in the west"]
    parts = await operations_of(store)
    assert parts.index("ha.failback") < parts.index("ha.rejoin") < parts.index("ha.switchover")  # one way back, not two
    home = (await kept(store))[Action.FAILBACK]
    assert (home.site_after, home.lost_bytes, home.achieved_rto_seconds > 0) == ("east", 0, True)
    again = await sites.planned(store, "ha.dr_failback")
    assert again.plan.steps == ()


@pytest.mark.soak
async def test_a_plan_is_rehearsed_and_the_sites_are_switched(store: Store, sites: Sites, pair: PostgresPair) -> None:
    rehearsed = await sites.do(store, "ha.dr_rehearse")
    assert rehearsed.state is OperationState.SUCCEEDED, rehearsed.error
    run_ = (await kept(store))[Action.REHEARSE]
    assert (run_.failed, run_.achieved_rto_seconds, run_.lost_bytes) == ((), None, 0)
    assert await pair.replica.role() is Role.REPLICA
    switched = await sites.do(store, "ha.dr_switch")
    assert switched.state is OperationState.SUCCEEDED, switched.error
    assert await roles({"n1": pair.primary, "n2": pair.replica}) == {"n1": Role.REPLICA, "n2": Role.PRIMARY}
    run_ = (await kept(store))[Action.SWITCH]
    assert run_.achieved_rto_seconds > 0
    assert run_.write_seconds > 0
    with pytest.raises(PrecheckFailed, match="is at west already"):
        await sites.planned(store, "ha.dr_switch", to="west")


@pytest.mark.soak
async def test_a_rehearsal_tells_what_would_not_work_and_stops_nothing(store: Store, sites: Sites) -> None:
    sites.plan = {"attestation": False, "checks": {"count": 3, "latency": "1ms"}, "objectives": {"rpo": "10s", "rto": "2m"}}
    sites.failover = {"fence": [{"kind": "network", "namespace": "dbre-no-such-namespace"}]}
    done = await sites.do(store, "ha.dr_rehearse")
    assert done.state is OperationState.SUCCEEDED, done.error
    failed = (await kept(store))[Action.REHEARSE].failed
    assert any(one.startswith("n1: none") for one in failed)  # the fence
    assert any("written and read back" in one for one in failed)  # the latency


@pytest.mark.soak
async def test_a_persons_word_stands_for_a_fence_and_not_against_a_server_that_answers(
    store: Store, sites: Sites, pair: PostgresPair
) -> None:
    sites.failover = {"fence": [{"kind": "network", "namespace": "dbre-no-such-namespace"}]}
    word = {"primary": "n1", "accept_loss": True, "attested_by": "anna", "attested": "the data centre burns"}
    with pytest.raises(FailoverRefused, match="site_lost: n1 answers"):
        await sites.planned(store, "ha.dr_failover", **word)
    await pair.primary.kill()
    with pytest.raises(FailoverRefused, match="fence: "):
        await sites.planned(store, "ha.dr_failover", primary="n1", accept_loss=True)
    waiting = await sites.submit(store, "ha.dr_failover", **word)
    await pair.primary.start()
    refused = await sites.run(store, waiting)
    assert refused.state is OperationState.FAILED
    assert await pair.replica.role() is Role.REPLICA
    await pair.primary.kill()
    done = await sites.do(store, "ha.dr_failover", **word)
    assert done.state is OperationState.SUCCEEDED, done.error
    assert results(done)["fence"]["rung"] == "attested"
    assert "anna vouches" in done.planned.plan.warnings[0]
    assert (await kept(store))[Action.FAILOVER].attested_by == "anna"
    sites.plan = {"attestation": False}
    await pair.replica.kill()
    with pytest.raises(PrecheckFailed):
        await sites.planned(store, "ha.dr_failover", **(word | {"primary": "n2"}))
