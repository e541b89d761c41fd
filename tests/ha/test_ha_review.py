"""``dbre fleet check`` tells what ``dbre ha status`` finds; who does not answer is told once, by another check."""

from types import SimpleNamespace

import pytest
from ha_live import Engines
from switchover_kit import controlled

from dbre.assembly import kinds_of
from dbre.capabilities.ha.config_document import HaDocument
from dbre.capabilities.ha.review import ha_check
from dbre.core.clock import SystemClock
from dbre.core.errors import UsageError
from dbre.core.operation.context import PlanContext
from dbre.testing.fixtures import PostgresPair


async def test_findings_of_a_replica_that_does_not_apply_and_of_one_that_is_gone(postgres_pair: PostgresPair) -> None:
    fleet, clock = controlled("postgresql", {"n1": postgres_pair.primary, "n2": postgres_pair.replica}), SystemClock()
    check = ha_check(Engines(), fleet, clock, HaDocument())
    look = SimpleNamespace(cluster=fleet.cluster("shop"))
    async with await postgres_pair.replica.connect() as admin:
        await admin.execute("SELECT pg_wal_replay_pause()")
    assert ("ha.paused_replay", "n2") in {(one.rule, one.subject) for one in await check.run(look)}
    await postgres_pair.replica.stop()
    assert not {one.rule for one in await check.run(look)} & {"ha.unreachable", "ha.not_asked"}


async def test_it_is_one_of_the_checks_of_the_fleet(postgres_pair: PostgresPair) -> None:
    fleet, clock = controlled("postgresql", {"n1": postgres_pair.primary, "n2": postgres_pair.replica}), SystemClock()
    grounds = SimpleNamespace(settings=HaDocument())
    operation = kinds_of(fleet, Engines(), clock, statuses=None, switchovers=grounds).get("fleet.check")  # type: ignore[arg-type]
    context = PlanContext(clock=clock, requested_by="alice")
    plan = await operation.plan(context, operation.document.model_validate({"cluster": "shop", "checks": ["ha"]}))
    assert [one.name for one in plan.steps] == ["check:ha", "report"]
    with pytest.raises(UsageError, match="no check is named 'has'"):
        await operation.plan(context, operation.document.model_validate({"cluster": "shop", "checks": ["has"]}))
