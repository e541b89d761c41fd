"""The suite: what it chooses, that it waits for the cluster to be whole, and what ends it."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from resilience_kit import Installation, RedisPair, freeze

from dbre.capabilities.chaos.documents import Experiment
from dbre.capabilities.chaos.operations.run_suite import RunSuite
from dbre.capabilities.chaos.runs.model import RunState
from dbre.capabilities.chaos.runs.repository import list_runs
from dbre.capabilities.chaos.suite.choosing import choose
from dbre.capabilities.chaos.suite.cli import run_suite
from dbre.capabilities.chaos.suite.documents import AskedSuite, SuiteDocument, check_entries
from dbre.capabilities.chaos.suite.recovery import NotRecovered, until_whole
from dbre.capabilities.chaos.suite.required import REQUIRED, Entry, entry_of
from dbre.core.errors import ExitCode, UsageError
from dbre.core.fleet import Address, Cluster
from dbre.core.operation.errors import ConfirmationMissing
from dbre.core.operation.schedule.model import Schedule
from dbre.core.operation.schedule.scheduler import submission_of
from dbre.core.operation.schedule.slots import Cron, parse_zone
from dbre.core.operation.states import OperationState

FAST: dict[str, Any] = {"name": "fast", "for": "1s", "pause": "100ms", "recovery": "60s"}
BALLAST = {"disk-pressure": {"fault": "disk-ballast", "parameters": {"directory": "/nowhere/at/all", "size": "1MB"}}}


async def test_each_question_is_asked_and_what_cannot_be_is_told(installation: Installation) -> None:
    installation.write(suites=[{**FAST, "entries": BALLAST}])
    asked = {"cluster": "orders", "only": ["leader-failure", "replica-lag", "disk-pressure", "latency"]}
    record = await installation.run("chaos.suite", asked)
    assert record.state is OperationState.SUCCEEDED, record.error
    (untold,) = record.planned.plan.warnings
    assert untold.endswith("entries: replica-lag; redis does not make replica-lag and replay-pause")
    async with installation.application.open_store() as store, store.read() as connection:
        runs = {one.entry: one for one in await list_runs(connection, suite_id=record.id)}
        refused = await installation.record(runs["disk-pressure"].id)
        assert (refused.state, refused.exit_code) == (OperationState.FAILED, ExitCode.REFUSED)  # nothing was begun
    assert set(runs) == {"leader-failure", "disk-pressure", "latency"}
    assert runs["latency"].state is RunState.HELD
    (stuttered,) = runs["latency"].observed["faults"]
    assert (stuttered["fault"], stuttered["is_reverted"]) == ("stutter", True)
    assert runs["leader-failure"].state is RunState.HELD  # a second without a primary is within the objective
    (during,) = [one for one in runs["leader-failure"].observed["during"] if one["probe"] == "there is one primary"]
    assert during["bad"] + during["good"] > 0
    results = {one.name: one.result or {} for one in record.steps}
    assert results["recover:leader-failure"]["seconds"] >= 0
    assert results["experiment:disk-pressure"]["state"] == "failed"  # and the suite went on
    assert "/nowhere/at/all" in results["experiment:disk-pressure"]["reason"]


async def test_a_schedule_begins_it_where_the_configuration_confirms_its_target(installation: Installation) -> None:
    slot = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
    weekly = Schedule(
        name="weekly", cron=Cron.parse("0 10 * * tue", parse_zone("UTC")), kind="chaos.suite", input={"cluster": "orders"}
    )
    confirmed = replace(weekly, confirm="orders")
    async with installation.desk() as desk:
        with pytest.raises(ConfirmationMissing, match="was not confirmed"):
            await desk.request(weekly.kind, weekly.input, replace(submission_of(weekly, slot), dedup_key=None))
        record = await desk.request(weekly.kind, weekly.input, replace(submission_of(confirmed, slot), dedup_key=None))
    assert (record.planned.kind, record.state) == ("chaos.suite", OperationState.QUEUED)


async def test_a_cluster_that_is_not_whole_again_ends_the_suite(installation: Installation, redis_pair: RedisPair) -> None:
    async with installation.desk(), installation.application.open_store() as store:
        ground = installation.application.chaos(store)
        cluster = ground.fleet.cluster("orders")
        before = {"roles": {"a": "primary", "b": "replica"}, "replicating": 1, "troubles": []}
        assert await until_whole(ground, cluster, "dbre:test", before=before, limit_seconds=60) >= 0
        await redis_pair.replica.freeze()
        with pytest.raises(NotRecovered, match="b does not answer"):
            await until_whole(ground, cluster, "dbre:test", before=before, limit_seconds=0.1)


@pytest.mark.parametrize("entry", REQUIRED, ids=lambda one: one.name)
def test_what_is_chosen_without_a_word_answers_its_question(entry: Any, installation: Installation) -> None:
    cluster = installation.application.fleet.cluster("orders")
    roles = {"a": "primary", "b": "replica"}
    found = choose(entry, cluster, SuiteDocument(name="s"), roles)
    if not found.can_run:
        assert entry.name == "disk-pressure"
        return
    document = Experiment.model_validate(dict(found.experiment or {}))
    assert entry_of(document, roles) == entry.name


def test_what_is_chosen_depends_on_who_runs_the_servers_and_on_their_addresses(installation: Installation) -> None:
    cluster = installation.application.fleet.cluster("orders")
    apart = [replace(one, address=Address(f"10.0.0.{n}", 6379)) for n, one in enumerate(cluster.instances, 1)]
    failure, cut = (next(one for one in REQUIRED if one.name == name) for name in ("leader-failure", "partition"))

    def chosen(entry: Entry, cluster: Cluster, *, is_kept: bool = False) -> tuple[Any, Any]:
        found = choose(entry, cluster, SuiteDocument(name="s"), {"a": "primary", "b": "replica"}, is_kept=is_kept)
        (fault,) = (found.experiment or {})["faults"]
        return fault["fault"], fault["parameters"]

    assert chosen(failure, cluster) == ("freeze", {})  # nobody would start it again
    assert chosen(failure, cluster, is_kept=True) == ("crash", {})  # a freeze may be over before a lease is
    assert chosen(cut, cluster) == ("partition", {"peers": ["everyone"]})  # both are 127.0.0.1
    assert chosen(cut, replace(cluster, instances=tuple(apart))) == ("partition", {})


def test_bad_input() -> None:
    with pytest.raises(UsageError, match="no entry 'leader'"):
        check_entries(("leader",))
    with pytest.raises(UsageError, match="no entry 'nonsense'") as unknown:
        run_suite("orders", only=["nonsense"])
    assert "latency" in str(unknown.value.hint)
    with pytest.raises(ValueError, match="no entry"):
        AskedSuite(cluster="orders", only=("freeze",))
    with pytest.raises(ValueError, match="is not a fault"):
        SuiteDocument.model_validate({"name": "x", "entries": {"latency": {"fault": "slow"}}})
    assert RunSuite.kind == "chaos.suite"
    assert entry_of(Experiment.model_validate(freeze(1)), {"a": "primary", "b": "replica"}) == "replica-lag"
