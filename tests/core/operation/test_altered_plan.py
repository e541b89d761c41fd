"""What was approved is what runs: a plan that somebody changes in the state store afterwards is not run."""

import pytest
from desk_kit import ALICE, BOB, Office
from sqlalchemy import update

from dbre.core.gates.approval import ApprovalPolicy
from dbre.core.gates.scope import Scope
from dbre.core.operation import tables
from dbre.core.operation.desk import Submission
from dbre.core.operation.plan import Risk, canonical
from dbre.core.operation.states import OperationState
from dbre.core.store import Store


@pytest.mark.parametrize("value", [64, 666])
async def test_a_plan_that_was_changed_after_its_approval_needs_an_operator(store: Store, value: int) -> None:
    office = Office(store, policies=(ApprovalPolicy(name="two", scope=Scope(risk=Risk.MILD, exempt=())),))
    alice = office.desk(ALICE)
    record = await alice.submit((await alice.preview("test.set", {"cluster": "orders"})).planned, Submission())
    await office.desk(BOB).approve(record.id)
    document = record.planned.document()
    document["steps"][0]["input"]["value"] = value
    own = tables.operation.c.id == record.id
    statement = update(tables.operation).where(own).values(plan=canonical(document).decode())
    await store.grouped(lambda connection: connection.execute(statement))
    ended = await office.runner().run(record.id)
    assert ended is not None
    if value == 64:  # written again as it was
        assert (ended.state, office.operation.world) == (OperationState.SUCCEEDED, {"orders": 64})
        return
    assert (ended.state, office.operation.world) == (OperationState.NEEDS_OPERATOR, {})
    assert ended.error is not None
    assert ended.error["code"] == "operation.plan_altered"
