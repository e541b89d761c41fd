"""Escalations: the rules, and the desk over a state store."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from incident_kit import FLEET, START, IncidentWorld

from dbre.capabilities.incident.oncall.documents import ContactDocument, OnCallDocument
from dbre.capabilities.incident.oncall.escalation import (
    Escalation,
    EscalationState,
    Policy,
    StepReason,
    acknowledged,
    begun,
    stepped,
)
from dbre.capabilities.incident.oncall.escalation_desk import ESCALATED, EscalationDesk
from dbre.capabilities.incident.oncall.escalation_repository import find_escalation
from dbre.capabilities.incident.oncall.override_repository import NewOverride, add_overrides, overrides_of, revoke_override
from dbre.capabilities.incident.oncall.people import Directory, directory_of
from dbre.core.errors import UsageError

MINUTES = timedelta(minutes=1)


def directory(**policy: Any) -> Directory:
    levels = [{"schedules": ["dba"], "wait": "5m"}, {"people": ["bea", "eva"], "is_round_robin": True, "wait": "10m"}]
    document = {
        "schedules": [
            {"name": "dba", "layers": [{"name": "all", "people": ["ana"], "starts": "2026-01-05T09:00", "only": []}]},
            {"name": "nobody", "layers": [{"name": "past", "people": ["ana"], "starts": "2030-01-05T09:00"}]},
        ],
        "policies": [{"name": "standard", "levels": levels, "repeat": 1, **policy}],
    }
    contacts = tuple(ContactDocument(name=name) for name in ("ana", "bea", "eva"))
    return directory_of(contacts, OnCallDocument.model_validate(document))


def policy(**changes: Any) -> Policy:
    return directory(**changes).policies[0]


def run(rules: Policy, escalation: Escalation, on_call: dict[str, list[str]]) -> list[tuple[float, str, tuple[str, ...]]]:
    """Steps until nothing is due any more: minutes, reason, people."""
    found = []
    while escalation.next_at is not None:
        now = escalation.next_at
        escalation, step = stepped(escalation, rules, on_call, now=now)
        found.append(((now - START) / MINUTES, step.reason.value, step.people))
    return found


def start(rules: Policy, turn: int = 0) -> Escalation:
    return begun(rules, {"incident_id": "i1"}, turn=turn, sequence=0, now=START)


def test_levels_follow_each_other_and_begin_again_until_everybody_was_told() -> None:
    assert run(policy(), start(policy()), {"dba": ["ana"]}) == [
        (0, "level", ("ana",)),
        (5, "level", ("bea",)),
        (15, "level", ("ana",)),
        (20, "level", ("eva",)),  # round robin: another one each round
        (30, "exhausted", ()),
    ]


def test_another_incident_is_another_ones_turn() -> None:
    assert run(policy(), start(policy(), turn=1), {"dba": ["ana"]})[1] == (5, "level", ("eva",))


def test_a_level_at_which_nobody_is_on_call_takes_no_time() -> None:
    assert run(policy(repeat=0), start(policy()), {}) == [(0, "level", ("bea",)), (10, "exhausted", ())]


def test_nobody_on_call_at_all_is_said_at_once_and_asked_again() -> None:
    rules = policy(levels=[{"schedules": ["nobody"], "wait": "5m"}])
    assert run(rules, start(rules), {"nobody": []}) == [(0, "nobody_on_call", ()), (5, "nobody_on_call", ())]


def test_an_acknowledgement_with_a_time_leads_back_to_the_first_level() -> None:
    rules = policy(acknowledged_for="30m")
    taken = acknowledged(start(rules), rules, by="somebody who left", now=START + 2 * MINUTES)
    assert taken.state is EscalationState.ACKNOWLEDGED
    again, step = stepped(taken, rules, {"dba": ["ana"]}, now=START + 32 * MINUTES)
    assert (taken.next_at, step.reason, step.people) == (START + 32 * MINUTES, StepReason.ACKNOWLEDGEMENT_EXPIRED, ("ana",))
    assert (again.state, again.acknowledged_by) == (EscalationState.ACTIVE, "")
    assert acknowledged(start(policy()), policy(), by="ana", now=START).next_at is None


def incident(revision: int, **changes: Any) -> dict[str, Any]:
    return {
        "incident_id": "00000000-0000-0000-0000-000000000001",
        "number": 1,
        "name": "INC-1",
        "title": "writes@orders",
        "state": "detected",
        "severity": "sev1",
        "urgency": "page",
        "cluster": "orders",
        "revision": revision,
        "assignee": "",
        "acknowledged_at": None,
    } | changes


class Duty:
    """A desk over a store, fed by hand."""

    def __init__(self, world: IncidentWorld, found: Directory) -> None:
        self.world = world
        self.desk = EscalationDesk(world.store, found, FLEET, world.clock)

    async def hear(self, kind: str, revision: int, **changes: Any) -> None:
        event = await self.world.happen(f"incident.{kind}", "incident/1", incident(revision, **changes), deliver=False)
        await self.desk.heard(event)

    async def told(self) -> list[tuple[str, list[str]]]:
        return [(one.data["step"]["reason"], one.data["step"]["people"]) for one in await self.world.events(ESCALATED)]

    async def pass_time(self, minutes: float) -> None:
        """Take the steps of the time that passes, as ``run`` does."""
        task = asyncio.ensure_future(self.desk.run())
        for _ in range(int(minutes)):
            await self._settled()
            await self.world.clock.advance(60, turns=5)
        await self._settled()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _settled(self) -> None:
        async with asyncio.timeout(30):
            while True:
                async with self.world.store.read() as connection:
                    one = await find_escalation(connection, incident(0)["incident_id"])
                if one is None or one.next_at is None or one.next_at > self.world.clock.now():
                    return
                await asyncio.sleep(0.01)


async def check_duty(world: IncidentWorld) -> None:
    duty = Duty(world, directory())
    await duty.hear("opened", 1)
    await duty.pass_time(1)
    assert await duty.told() == [("level", ["ana"])]
    after_restart = Duty(world, directory())
    await after_restart.hear("opened", 1)  # delivered again: nobody is told again
    await after_restart.pass_time(5)
    assert await duty.told() == [("level", ["ana"]), ("level", ["bea"])]
    await after_restart.hear("acknowledged", 2, assignee="bea", by="bea", acknowledged_at=START.isoformat())
    await after_restart.pass_time(20)
    assert len(await duty.told()) == 2
    await after_restart.hear("resolved", 3, state="resolved")
    await after_restart.hear("acknowledged", 2, by="late")  # overtaken
    async with world.store.read() as connection:
        one = await find_escalation(connection, incident(0)["incident_id"])
    assert one is not None
    assert one.state is EscalationState.ENDED
    await after_restart.hear("reopened", 4)
    await after_restart.pass_time(1)
    assert (await duty.told())[2:] == [("level", ["ana"])]


async def test_an_escalation_survives_restarts_and_repeats_nothing(world: IncidentWorld) -> None:
    await check_duty(world)


async def test_an_escalation_survives_restarts_on_postgresql(postgres_world: IncidentWorld) -> None:
    await check_duty(postgres_world)


async def test_tickets_wake_nobody_and_what_is_only_watched_neither(world: IncidentWorld) -> None:
    duty = Duty(world, directory())
    await duty.hear("opened", 1, urgency="ticket")
    await duty.pass_time(1)
    assert await duty.told() == []
    await duty.hear("updated", 2)  # now it pages
    await duty.pass_time(1)
    await duty.hear("updated", 3, state="monitoring")
    await duty.pass_time(15)
    assert len(await duty.told()) == 1
    await duty.hear("updated", 4)
    await duty.pass_time(1)
    assert await duty.told() == [("level", ["ana"]), ("level", ["bea"])]


async def test_an_override_is_told_instead_audited_and_revocable(world: IncidentWorld) -> None:
    asked = NewOverride(schedule="dba", contact="eva", replaces=None, starts_at=START, ends_at=START + timedelta(hours=8))
    (made,) = await add_overrides(world.store, [asked], by="ana", clock=world.clock)
    duty = Duty(world, directory())
    await duty.hear("opened", 1)
    await duty.pass_time(1)
    assert await duty.told() == [("level", ["eva"])]
    await revoke_override(world.store, made.id, by="ana", clock=world.clock)
    async with world.store.read() as connection:
        assert await overrides_of(connection, "dba", ending_after=START) == ()
    with pytest.raises(UsageError, match="revoked already"):
        await revoke_override(world.store, made.id, by="ana", clock=world.clock)
    with pytest.raises(UsageError, match="not after it begins"):
        await add_overrides(
            world.store,
            [NewOverride(schedule="dba", contact="eva", replaces=None, starts_at=START, ends_at=START)],
            by="ana",
            clock=world.clock,
        )


async def test_what_was_imported_before_is_not_doubled(world: IncidentWorld) -> None:
    one = NewOverride(
        schedule="dba", contact="eva", replaces=None, starts_at=START, ends_at=START + timedelta(hours=8), source="ical:1"
    )
    assert len(await add_overrides(world.store, [one, one], by="ana", clock=world.clock)) == 1
    assert await add_overrides(world.store, [one], by="ana", clock=world.clock) == ()


def test_a_name_that_no_contact_bears_is_told() -> None:
    found = directory(levels=[{"people": ["ana", "gone"]}])
    assert [str(one) for one in found.unknown()] == ["level 1 of policy standard names gone, whom contacts: does not have"]
