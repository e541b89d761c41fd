"""A step asks for the same child again after it ended badly, and finds each of its turns again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from engine_kit import Bench, Diary, Scripted, plan

from dbre.core.errors import Refused
from dbre.core.operation.context import StepContext
from dbre.core.operation.definition import step
from dbre.core.store import Store


class Patient(Scripted):
    """Its step ends with the first child that succeeds."""

    kind = "test.patient"

    @step(timeout_seconds=30, idempotent=True)
    async def kid(self, context: StepContext) -> Mapping[str, Any]:
        states, ids = [], []
        for turn in (0, 1, 2, 2):
            record = await context.run_child("test.scripted", {"names": ["once:x"], "target": "cluster/orders"}, turn=turn)
            states.append(record.state.value)
            ids.append(str(record.id))
        return {"states": states, "ids": ids}


@pytest.fixture
def bench(store: Store, tmp_path: Path) -> Bench:
    return Bench(store, Diary(tmp_path / "diary"))


async def test_each_turn_is_a_child_of_its_own(bench: Bench) -> None:
    refused: list[str] = []

    async def refuse_once(_: StepContext) -> None:
        if not refused:
            refused.append("not yet")
            raise Refused("not yet")

    parent = Patient(bench.diary)
    parent_id = await bench.submit(parent, plan("kid:k-", target="cluster/parent"))
    record = await bench.runner(Scripted(bench.diary, before={"once:x": refuse_once}), parent).run(parent_id)
    assert record is not None
    assert record.state == "succeeded", record.error
    found = (await bench.record(parent_id)).steps[0].result
    assert found is not None
    assert found["states"] == ["failed", "succeeded", "succeeded", "succeeded"]
    assert len(set(found["ids"])) == 3
    assert found["ids"][2] == found["ids"][3]
