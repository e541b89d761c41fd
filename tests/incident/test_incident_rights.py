"""Who may act on which incident: also on one of no cluster."""

import pytest
from incident_kit import FLEET, IncidentWorld

from dbre.capabilities.incident.chatops.commands import ChatCommands, ChatGround
from dbre.capabilities.incident.desk import IncidentDesk, NewIncident
from dbre.capabilities.incident.model import Severity
from dbre.core.errors import Denied
from dbre.core.identity.model import Grant, Principal, PrincipalKind, Role
from dbre.core.selector import Selector


async def test_an_incident_of_no_cluster_is_for_who_has_the_whole_fleet(world: IncidentWorld) -> None:
    await world.desk().open(NewIncident(title="the office network is down", severity=Severity.SEV2))
    grant = Grant(role=Role.OPERATOR, selector=Selector.of({"cluster": "orders"}))
    eve = Principal(name="eve", kind=PrincipalKind.PERSON, grants=(grant,))
    desk = IncidentDesk(world.store, FLEET, world.clock, eve)
    with pytest.raises(Denied):
        await desk.acknowledge("1")
    with pytest.raises(Denied):
        await desk.open(NewIncident(title="another", severity=Severity.SEV1))
    await world.fire("a1")
    await desk.acknowledge("2")
    ground = ChatGround(store=world.store, fleet=FLEET, clock=world.clock, operations=lambda _: None)  # type: ignore[arg-type, return-value]
    chat = ChatCommands(ground, eve)
    assert "office network" not in await chat.answer(["status"])
    with pytest.raises(Denied):
        await chat.answer(["status", "1"])
