"""What people do with incidents: allowed by the state, told, and written down."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from incident_kit import FLEET, START, IncidentWorld, person

from dbre.capabilities.incident.deploys import record_deploy
from dbre.capabilities.incident.desk import Amendment, NewIncident
from dbre.capabilities.incident.errors import NoSuchIncident, TransitionRefused
from dbre.capabilities.incident.facts import incident_facts
from dbre.capabilities.incident.model import Severity
from dbre.capabilities.incident.states import ENDED, OPEN, IncidentState, may_follow, next_states
from dbre.core.audit.reading import AuditQuery, entries
from dbre.core.errors import Denied, UsageError
from dbre.core.identity.model import Role

_NEW = NewIncident(title="shop is down", severity=Severity.SEV2, cluster="orders")


@given(st.lists(st.sampled_from(list(IncidentState)), max_size=30))
def test_no_path_leads_from_an_end_back_to_work_except_opening_it_again(wishes: list[IncidentState]) -> None:
    state, seen_end = IncidentState.DETECTED, False
    for wish in wishes:
        if may_follow(state, wish):
            state = wish
        seen_end = seen_end or state in ENDED or state is IncidentState.MERGED
        assert not (seen_end and state in OPEN)


def test_every_state_but_the_last_ones_has_a_way_on() -> None:
    stuck = {state for state in IncidentState if not next_states(state)}
    assert stuck == {IncidentState.CLOSED, IncidentState.MERGED}


async def test_a_declared_incident_keeps_each_moment_of_its_life(world: IncidentWorld) -> None:
    desk = world.desk()
    await desk.open(replace(_NEW, started_at=START - timedelta(minutes=20)))
    await world.clock.advance(60)
    await desk.acknowledge("INC-1")
    await world.clock.advance(60)
    await desk.move("inc-1", IncidentState.IDENTIFIED, text="a full disk")
    await desk.move("1", IncidentState.MITIGATED, at=START + timedelta(seconds=90))
    await world.clock.advance(60)
    one = await desk.move("1", IncidentState.RESOLVED)
    moments = (one.started_at, one.detected_at, one.acknowledged_at, one.mitigated_at, one.resolved_at)
    seconds = [(moment - START).total_seconds() for moment in moments if moment is not None]
    assert seconds == [-1200, 0, 60, 90, 180]
    (facts,) = await incident_facts(world.store, since=START - timedelta(days=1), until=START + timedelta(days=1))
    assert facts.assignee == one.assignee != ""
    assert (facts.name, facts.is_by_alert, facts.clusters, facts.cost) == ("INC-1", False, ("orders",), None)
    async with world.store.read() as connection:
        actions = {one.entry.action for one in await entries(connection, AuditQuery(), 100)}
    assert {"incident.opened", "incident.acknowledged", "incident.updated", "incident.resolved"} <= actions


async def test_what_the_state_does_not_allow_is_refused_with_what_it_does(world: IncidentWorld) -> None:
    desk = world.desk()
    await desk.open(_NEW)
    await desk.move("1", IncidentState.RESOLVED)
    with pytest.raises(TransitionRefused, match="resolved and cannot be mitigated") as caught:
        await desk.move("1", IncidentState.MITIGATED)
    assert "closed" in str(caught.value.hint)
    with pytest.raises(TransitionRefused, match="acknowledged"):
        await desk.acknowledge("1")
    for state in (IncidentState.REVIEWED, IncidentState.CLOSED, IncidentState.MERGED, IncidentState.DETECTED):
        with pytest.raises(UsageError, match="by hand"):
            await desk.move("1", state)


async def test_an_incident_is_opened_again_for_24_hours(world: IncidentWorld) -> None:
    desk = world.desk()
    await desk.open(_NEW)
    with pytest.raises(TransitionRefused, match="opened again"):
        await desk.reopen("1", text="it goes on")
    await desk.move("1", IncidentState.RESOLVED)
    await world.clock.advance(86_400)
    again = await desk.reopen("1", text="it came back")
    assert (again.state, again.resolved_at, again.reopened_count) == (IncidentState.INVESTIGATING, None, 1)
    await desk.move("1", IncidentState.RESOLVED)
    await world.clock.advance(86_401)
    with pytest.raises(TransitionRefused, match="for 24 h"):
        await desk.reopen("1", text="too late")


async def test_merging_moves_the_alerts_and_keeps_the_earlier_beginning(world: IncidentWorld) -> None:
    await world.fire("a1", cluster="mail")
    await world.clock.advance(60)
    await world.fire("a2", cluster="orders")
    stays = await world.desk().merge("1", "INC-2")
    gone = await world.incident("1")
    assert (gone.state, gone.merged_into) == (IncidentState.MERGED, stays.id)
    assert (stays.name, stays.detected_at) == ("INC-2", START)
    assert [one.alert_id for one in await world.alerts("2")] == ["a1", "a2"]
    await world.end("a2", cluster="orders")
    assert (await world.incident("2")).state is not IncidentState.MONITORING  # a1 fires still
    await world.end("a1", cluster="mail")
    assert (await world.incident("2")).state is IncidentState.MONITORING
    with pytest.raises(UsageError, match="into itself"):
        await world.desk().merge("2", "2")
    with pytest.raises(TransitionRefused, match="merged"):
        await world.desk().merge("1", "2")


async def test_a_person_corrects_severity_and_beginning_and_alerts_leave_that_alone(world: IncidentWorld) -> None:
    await world.fire("a1")
    await world.clock.advance(1)  # lines of one moment have no order
    change = Amendment(
        severity=Severity.SEV4, started_at=START - timedelta(hours=1), has_data_loss=True, root_cause="a full disk"
    )
    one = await world.desk().amend("1", change)
    assert (one.severity, one.started_at, one.has_data_loss) == (Severity.SEV4, START - timedelta(hours=1), True)
    assert "severity sev1 to sev4" in (await world.timeline())[-1].text
    await world.fire("a2", slo="reads")
    assert (await world.incident()).severity is Severity.SEV4
    await world.desk().move("1", IncidentState.MITIGATED)
    await world.clock.advance(60)
    with pytest.raises(UsageError, match="cannot have begun after"):
        await world.desk().amend("1", Amendment(started_at=START + timedelta(seconds=30)))


@pytest.mark.parametrize("text", ["", " \n ", "x" * 4_001])
async def test_notes_have_bounds(world: IncidentWorld, text: str) -> None:
    await world.desk().open(_NEW)
    with pytest.raises(UsageError, match="1 to 4000 characters"):
        await world.desk().note("1", text)


async def test_nothing_happens_in_the_future(world: IncidentWorld) -> None:
    await world.desk().open(_NEW)
    with pytest.raises(UsageError, match="in the future"):
        await world.desk().note("1", "x", at=START + timedelta(minutes=5))


@pytest.mark.parametrize("name", ["INC-99", "0", "twelve", "inc-", "00000000-0000-0000-0000-000000000001", "1; DROP TABLE"])
async def test_names_that_mean_no_incident(world: IncidentWorld, name: str) -> None:
    with pytest.raises(NoSuchIncident):
        await world.desk().acknowledge(name)


async def test_only_who_may_operate_the_cluster_acts(world: IncidentWorld) -> None:
    await world.fire("a1")
    for role in (Role.VIEWER, Role.APPROVER):
        with pytest.raises(Denied, match="may not operate"):
            await world.desk("eve", role).acknowledge("1")
        with pytest.raises(Denied, match="may not operate"):
            await world.desk("eve", role).open(_NEW)
    assert (await world.incident()).assignee == ""


async def test_two_people_at_once_both_succeed_one_after_the_other(world: IncidentWorld) -> None:
    await world.desk().open(_NEW)
    await asyncio.gather(*(world.desk(f"p{number}").note("1", f"note {number}") for number in range(20)))
    one = await world.incident()
    assert one.revision == 21
    assert len(await world.timeline()) == 21


async def test_a_deploy_is_an_event_and_an_audit_entry(world: IncidentWorld) -> None:
    await record_deploy(world.store, FLEET, world.clock, person("ci"), cluster="orders", what="shop", version="2.1")
    (event,) = await world.events("deploy.*")
    assert event.data == {"cluster": "orders", "what": "shop", "version": "2.1", "note": "", "by": "ci"}
    with pytest.raises(UsageError, match="no cluster"):
        await record_deploy(world.store, FLEET, world.clock, person("ci"), cluster="order", what="shop")
