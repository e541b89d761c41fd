"""Consent from a chat: the same desk, the same four eyes, the same plan."""

from pathlib import Path
from typing import Any

import pytest
from incident_kit import IncidentWorld, person
from test_chatops import command, pressed, receiver, say

from dbre.app import Engines, sections
from dbre.assembly import Ground, assemble
from dbre.core.config import load
from dbre.core.fleet_document import build_fleet
from dbre.core.identity.model import Principal, Role
from dbre.core.operation.desk import OperationDesk, Submission
from dbre.core.operation.embedded import StoredForOthers
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.states import OperationState
from dbre.core.operation.store_desk import StoreDesk

_CONFIG = """
fleet:
  clusters:
    - name: orders
      engine: postgresql
      environment: prod
      instances: [{name: orders-1, host: 192.0.2.1}]
gates:
  approvals:
    - name: everything
      kinds: [fleet.check]
access:
  principals:
    - {name: alice, tokens: [{hash: '%HASH%a'}], grants: [{role: operator}]}
    - {name: bob, tokens: [{hash: '%HASH%b'}], grants: [{role: approver}, {role: operator}]}
"""


@pytest.fixture
def desks(world: IncidentWorld, tmp_path: Path) -> Any:
    path = tmp_path / "dbre.yaml"
    path.write_text(_CONFIG.replace("%HASH%", "sha256:" + "0" * 63))
    config = load([path], sections=sections(), environment={}, flags={})
    fleet = build_fleet(config, default_ports={"postgresql": 5432, "mysql": 3306, "redis": 6379})
    ground = Ground(config=config, fleet=fleet, engines=Engines(), clock=world.clock, store=world.store)
    parts = assemble(ground).desk_parts(StoredForOthers())

    def desk(principal: Principal) -> OperationDesk:
        return StoreDesk(parts, principal)

    return desk


async def _asked_for_by(desks: Any, name: str) -> OperationRecord:
    desk = desks(person(name, Role.OPERATOR))
    planned = (await desk.preview("fleet.check", {"cluster": "orders"})).planned
    return await desk.submit(planned, Submission(reason="test"))


async def test_another_person_approves_from_a_chat_and_the_one_who_asked_cannot(
    world: IncidentWorld, tmp_path: Path, desks: Any
) -> None:
    record = await _asked_for_by(desks, "bob")
    assert record.state is OperationState.AWAITING_APPROVAL
    slack = receiver(world, tmp_path, desks)
    assert str(record.id)[-12:] in await say(world, slack, command("approvals", user="U0BOB"))
    refused = await say(world, slack, command(f"approve {record.id}", user="U0BOB"))
    assert "bob" in refused  # four eyes are two people
    assert "may not approve" in await say(world, slack, command(f"approve {record.id}", user="U0ALICE"))
    waiting = await _asked_for_by(desks, "alice")
    button = pressed("operation_approve", f"{waiting.id} {'0' * 64}", user="U0BOB")
    assert "plan" in await say(world, slack, button)  # a plan that nobody has now
    said = await say(world, slack, pressed("operation_approve", f"{waiting.id} {waiting.plan_hash}", user="U0BOB"))
    assert "bob approved" in said
    assert "queued" in await say(world, slack, command(f"op {str(waiting.id)[-12:]}", user="U0EVE"))
