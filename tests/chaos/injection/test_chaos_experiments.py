"""Experiments as operations: what is refused, what ends them early, what they say afterwards."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from injection_kit import ENGINES, INJECTOR, PATIENCE, fleet_with, until

from dbre.capabilities.chaos.documents import Experiment
from dbre.capabilities.chaos.ground import Burn, ChaosGround
from dbre.capabilities.chaos.injection.record import read_records
from dbre.capabilities.chaos.operations import operations
from dbre.capabilities.chaos.operations.run_experiment import RunExperiment
from dbre.capabilities.chaos.watching import ExperimentAborted
from dbre.core.clock import Clock, SystemClock
from dbre.core.errors import PrecheckFailed, UsageError
from dbre.core.operation.context import FencingToken, Halt, PlanContext
from dbre.core.operation.definition import NotHappened
from dbre.core.operation.plan import Plan, Risk, Step
from dbre.lab.redis import RedisServer

ANSWERS = {"name": "one answers", "kind": "answers", "instance": "one"}


@dataclass(kw_only=True)
class Walked:
    """Implements ``StepContext`` for one step, without a journal."""

    plan: Plan
    step: Step
    token: FencingToken
    results: dict[str, Any] = field(default_factory=dict)
    clock: Clock = field(default_factory=SystemClock)
    held: asyncio.Event | None = None  # a gate holds the operation once it is set
    notes: list[str] = field(default_factory=list)

    application_name: str = "dbre:chaos.run:test"

    @property
    def input(self) -> Any:
        return self.step.input

    @property
    def halt(self) -> Halt | None:
        is_held = self.held is not None and self.held.is_set()
        return Halt("gate budget holds it: no", is_silence=False) if is_held else None

    async def checkpoint(self) -> None: ...

    async def progress(self, done: float, total: float | None, unit: str) -> None: ...

    async def note(self, text: str) -> None:
        self.notes.append(text)


def asked(**given: Any) -> dict[str, Any]:
    freeze = {"fault": "freeze", "instance": "one", "for": "2s"}
    return {"cluster": "orders", "hypothesis": [ANSWERS], "faults": [freeze], "may_take_last": True, **given}


class Trial:
    """One experiment on the victim, step by step."""

    def __init__(self, victim: RedisServer, directory: Path, *, burns: dict[str, float] | None = None) -> None:
        async def slo(name: str, _: str) -> Burn:
            if burns is None or name not in burns:
                raise UsageError(f"no SLO {name}")
            return Burn(rate=burns[name], is_paging=False)

        self.directory = directory
        ground = ChaosGround(
            fleet=fleet_with(victim), engines=ENGINES, clock=SystemClock(), directory=directory, program=INJECTOR, slo=slo
        )
        found = operations(ground)[0]
        assert isinstance(found, RunExperiment)
        self.operation = found
        self.token = FencingToken(uuid4(), 1)
        self.results: dict[str, Any] = {}
        self.plan: Plan | None = None

    async def planned(self, given: dict[str, Any]) -> Plan:
        document = Experiment.model_validate(given)
        self.plan = await self.operation.plan(PlanContext(clock=SystemClock(), requested_by="somebody"), document)
        return self.plan

    def context(self, name: str, **given: Any) -> Walked:
        assert self.plan is not None
        (step,) = [one for one in self.plan.steps if one.name == name]
        return Walked(plan=self.plan, step=step, token=self.token, results=self.results, **given)

    async def do(self, name: str, **given: Any) -> Any:
        self.results[name] = await self.operation.handlers()[name].work(self.operation, self.context(name, **given))
        return self.results[name]

    async def probe(self) -> Any:
        look = self.operation.handlers()["inject"].look
        assert look is not None
        return await look(self.operation, self.context("inject"))


async def test_from_baseline_to_the_proof_that_it_is_gone(victim: RedisServer, tmp_path: Path) -> None:
    trial = Trial(victim, tmp_path)
    during = {"name": "is heard", "kind": "answers", "instance": "one", "when": ["during"], "within": "300ms"}
    plan = await trial.planned(asked(hypothesis=[ANSWERS, during]))
    assert (plan.risk, plan.target, [one.name for one in plan.steps]) == (
        Risk.SEVERE,
        "cluster/orders",
        ["baseline", "inject", "settle"],
    )
    with pytest.raises(NotHappened):
        await trial.probe()
    assert (await trial.do("baseline"))["before"][0]["holds"]
    injected = await trial.do("inject")
    (fault,) = injected["faults"]
    assert (fault["is_reverted"], fault["why"], victim.is_frozen) == (True, "its time is over", False)
    assert injected["during"][0]["bad"] > 0
    assert (await trial.do("settle"))["after"][0]["holds"]
    assert all(one.holds for one in await trial.operation.verify(trial.context("settle")))
    assert read_records(tmp_path) == []


@pytest.mark.parametrize("reason", ["gate", "burn", "probe"])
async def test_the_first_reason_takes_everything_back(victim: RedisServer, tmp_path: Path, reason: str) -> None:
    burns = {"writes": 1.0}
    trial = Trial(victim, tmp_path, burns=burns)
    held = asyncio.Event()
    aborting = {**ANSWERS, "when": ["during"], "within": "200ms", "aborts": True}
    more = {"hypothesis": [aborting]} if reason == "probe" else {"abort": [{"slo": "writes", "burn": 10}]}
    await trial.planned(asked(faults=[{"fault": "freeze", "instance": "one", "for": "10m"}], **more))
    running = asyncio.create_task(trial.do("inject", held=held))
    try:
        await until(lambda: victim.is_frozen)
        if reason == "gate":
            held.set()
        elif reason == "burn":
            burns["writes"] = 20.0
        words = {
            "gate": "gate budget holds it: no",
            "burn": "writes burns 20.0 times too fast",
            "probe": "failed 3 times in a row",
        }
        with pytest.raises(ExperimentAborted, match=words[reason]):
            await asyncio.wait_for(running, PATIENCE)
        assert not victim.is_frozen
    finally:
        running.cancel()


async def test_a_cancelled_experiment_and_one_whose_runner_died(victim: RedisServer, tmp_path: Path) -> None:
    trial = Trial(victim, tmp_path)
    await trial.planned(asked(faults=[{"fault": "freeze", "instance": "one", "for": "10m"}]))
    running = asyncio.create_task(trial.do("inject"))
    await until(lambda: victim.is_frozen)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert not victim.is_frozen
    trial.results["inject"] = await trial.probe()  # as the next worker would, with the state file still there
    assert trial.results["inject"]["interrupted"]
    assert [one.holds for one in await trial.operation.verify(trial.context("settle"))] == [True, False]


async def test_what_is_refused_before_anything_is_done(victim: RedisServer, tmp_path: Path) -> None:
    trial = Trial(victim, tmp_path)
    with pytest.raises(PrecheckFailed, match="no instance of orders would answer"):
        await trial.planned(asked(may_take_last=False))
    with pytest.raises(UsageError, match="has no instance 'two'"):
        await trial.planned(asked(hypothesis=[{**ANSWERS, "instance": "two"}]))
    with pytest.raises(UsageError, match="no SLO reads"):
        await trial.planned(asked(abort=[{"slo": "reads"}]))
    for wrong, words in (
        ([{"fault": "freze", "instance": "one"}], "did you mean freeze"),
        ([{"fault": "disk-ballast", "instance": "one", "parameters": {"directory": "/tmp"}}], "either size or leave"),
        ([{"fault": "freeze", "instance": "one", "for": "2h"}], "1h"),
        ([], "without a fault"),
    ):
        with pytest.raises(ValueError, match=words):
            Experiment.model_validate(asked(faults=wrong))
