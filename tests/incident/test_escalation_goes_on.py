"""Escalations do not fall silent: after an answer that ran out, a return of the trouble, or another configuration."""

import asyncio
from datetime import datetime
from typing import Any

import pytest
from incident_kit import FLEET, IncidentWorld
from test_oncall_escalation import Duty, directory

from dbre.capabilities.incident.desk import NewIncident
from dbre.capabilities.incident.model import Severity
from dbre.capabilities.incident.oncall.escalation import EscalationState
from dbre.capabilities.incident.oncall.escalation_desk import ESCALATED, EscalationDesk
from dbre.capabilities.incident.oncall.escalation_repository import find_escalation
from dbre.core.events import Event
from dbre.testing.clock import FakeClock


async def test_who_has_it_in_hand_may_say_so_again_once_the_first_answer_has_run_out(world: IncidentWorld) -> None:
    desk = EscalationDesk(world.store, directory(acknowledged_for="30m"), FLEET, world.clock)
    heard: list[Event] = []

    async def hear() -> None:
        for event in (await world.events())[len(heard) :]:
            heard.append(event)
            await desk.heard(event)

    await world.fire("a1")
    await hear()
    one = await world.desk("ana").acknowledge("1")
    await hear()
    await world.clock.advance(31 * 60)
    await desk._step(str(one.id))  # the answer has run out: ana is called again
    assert [event.data["step"]["reason"] for event in await world.events(ESCALATED)] == ["acknowledgement_expired"]
    await world.desk("ana").acknowledge("1")
    await hear()
    async with world.store.read() as connection:
        found = await find_escalation(connection, str(one.id))
    assert found is not None
    assert found.state is EscalationState.ACKNOWLEDGED
    before = len(await world.events())
    await world.desk("ana").acknowledge("1")  # nothing is open: nobody hears of it twice
    assert len(await world.events()) == before


async def test_what_comes_back_after_everybody_was_told_begins_anew(world: IncidentWorld) -> None:
    duty = Duty(world, directory(levels=[{"people": ["ana"], "wait": "5m"}], repeat=0))
    await duty.hear("opened", 1)
    await duty.pass_time(6)
    assert await duty.told() == [("level", ["ana"]), ("exhausted", [])]
    await duty.hear("updated", 2, state="monitoring")
    await duty.hear("updated", 3, state="detected")  # it hurts again
    await duty.pass_time(1)
    assert (await duty.told())[2:] == [("level", ["ana"])]


class HastyClock(FakeClock):
    """Two minutes pass in the very next turn of the event loop after one of the looks at it."""

    jumps_after = 0

    def now(self) -> datetime:
        self.jumps_after -= 1
        if self.jumps_after == 0:
            asyncio.get_running_loop().call_soon(self._jump)
        return super().now()

    def _jump(self) -> None:
        self.step_wall(120)
        self.step_monotonic(120)


@pytest.mark.parametrize("look", range(2, 7))
async def test_a_step_that_falls_due_while_the_desk_lies_down_is_not_slept_over(world: IncidentWorld, look: int) -> None:
    clock = HastyClock(world.clock.now())
    world.clock = clock
    duty = Duty(world, directory(levels=[{"people": ["ana"], "wait": "2m"}], repeat=0))
    await duty.hear("opened", 1)
    clock.jumps_after = look
    task = asyncio.ensure_future(duty.desk.run())
    async with asyncio.timeout(60):
        while await duty.told() != [("level", ["ana"]), ("exhausted", [])]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_answer_with_a_time_has_one_also_after_a_quiet_while(world: IncidentWorld) -> None:
    duty = Duty(world, directory(acknowledged_for="30m"))
    taken: dict[str, Any] = {"assignee": "ana", "acknowledged_at": "2026-11-21T04:00:00Z"}
    await duty.hear("opened", 1)
    await duty.pass_time(1)
    await duty.hear("acknowledged", 2, state="investigating", by="ana", **taken)
    await duty.hear("updated", 3, state="monitoring", **taken)
    await duty.hear("updated", 4, state="investigating", **taken)
    await duty.pass_time(31)
    assert ("acknowledgement_expired", ["ana"]) in await duty.told()


async def test_a_policy_that_was_renamed_meanwhile_leaves_nobody_untold(world: IncidentWorld) -> None:
    duty = Duty(world, directory())
    await duty.hear("opened", 1)
    await duty.pass_time(1)
    duty.desk = EscalationDesk(world.store, directory(name="another"), FLEET, world.clock)
    await duty.pass_time(6)
    assert (await duty.told())[1:] == [("level", ["bea"])]


async def test_a_page_that_is_merged_into_a_quiet_incident_stays_loud(world: IncidentWorld) -> None:
    await world.fire("a1")
    quiet = NewIncident(title="slow reports", severity=Severity.SEV4, is_loud=False)
    await world.desk().open(quiet)
    target = await world.desk().merge("1", "2")
    assert (target.urgency, target.state.value) == ("page", "declared")


async def test_an_alert_that_still_fires_wakes_the_watched_incident_it_is_merged_into(world: IncidentWorld) -> None:
    await world.fire("a1")
    await world.clock.advance(3600)
    await world.end("a1")
    await world.fire("a2", cluster="mail")
    target = await world.desk().merge("2", "1")
    assert target.state.value == "detected"
    assert target.mitigated_at is None
