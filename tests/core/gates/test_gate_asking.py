"""Gates are asked at once; one that hangs, raises or talks nonsense decides by its fail mode, and delays nobody."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from gate_kit import FLEET, NOW, planned, question

from dbre.core.errors import Refused, Unreachable
from dbre.core.gates.asking import Gates, GateUnknown, question_for
from dbre.core.gates.model import GateDecision, GateVerdict
from dbre.core.operation.plan import Risk
from dbre.testing.clock import FakeClock


@dataclass
class Says:
    """A gate that says, raises or does what a test wants."""

    name: str
    what: Any = GateVerdict.ALLOW
    is_open: Any = False
    asks_always: bool = True
    summary: str = "for a test"
    reason: str = "because"
    evidence: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    ended: list[str] = field(default_factory=list)

    def fails_open(self, question):  # noqa: ARG002 - as a gate has it
        if isinstance(self.is_open, Exception):
            raise self.is_open
        return self.is_open

    async def decide(self, question):  # noqa: ARG002 - as a gate has it
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.ended.append(self.name)
        if isinstance(self.what, BaseException):
            raise self.what
        if not isinstance(self.what, GateVerdict):
            return self.what
        return GateDecision(gate="another", verdict=self.what, reason=self.reason, evidence=self.evidence)


def gates(*given: Says, seconds: float = 0.2) -> Gates:
    return Gates(given, FakeClock(NOW), answer_seconds=seconds)


async def test_the_worst_answer_comes_first_and_each_has_the_name_of_its_gate():
    asked = gates(Says("a"), Says("b", GateVerdict.REFUSE), Says("c", GateVerdict.HOLD))
    decisions = await asked.ask(question())
    assert [(one.gate, one.verdict.value) for one in decisions] == [("b", "refuse"), ("c", "hold"), ("a", "allow")]


async def test_gates_think_at_the_same_time():
    began = time.monotonic()
    await gates(*(Says(f"g{index}", seconds=0.3) for index in range(20)), seconds=1).ask(question())
    assert time.monotonic() - began < 0.9


@pytest.mark.parametrize(
    ("is_open", "verdict"), [(False, "hold"), (True, "allow"), (RuntimeError("x"), "hold"), ("yes", "hold")]
)
async def test_a_gate_that_hangs_is_cut_off_and_its_fail_mode_decides(is_open, verdict):
    slow = Says("slow", seconds=60, is_open=is_open)
    began = time.monotonic()
    (decision, other) = sorted(await gates(slow, Says("quick")).ask(question()), key=lambda one: one.gate != "slow")
    assert time.monotonic() - began < 1
    assert (decision.verdict.value, other.verdict.value) == (verdict, "allow")
    assert "no answer within 0.2 s" in decision.reason
    assert decision.evidence["code"] == "gate.timeout"
    await asyncio.sleep(0)
    assert slow.ended == ["slow"]  # nothing goes on behind


async def test_who_holds_with_a_reason_comes_before_who_cannot_answer():
    asked = gates(Says("a", seconds=60), Says("b", GateVerdict.HOLD), Says("c"))
    found = [(one.gate, one.verdict.value, one.is_silent) for one in await asked.ask(question())]
    assert found == [("b", "hold", False), ("a", "hold", True), ("c", "allow", False)]


async def test_a_gate_that_ignores_its_cancellation_delays_nobody():
    class Deaf(Says):
        async def decide(self, question):  # noqa: ARG002 - as a gate has it
            until = time.monotonic() + 1.5
            while time.monotonic() < until:
                try:
                    await asyncio.sleep(0.1)
                except asyncio.CancelledError:
                    continue
            raise RuntimeError("late")

    began = time.monotonic()
    (decision,) = await gates(Deaf("deaf")).ask(question())
    assert time.monotonic() - began < 1
    assert decision.verdict is GateVerdict.HOLD
    await asyncio.sleep(1.6)  # its late error is heard of, and harms nobody


@pytest.mark.parametrize(
    ("what", "code"),
    [
        (RuntimeError("no \x1b[2J way\n"), "gate.failed"),
        (Unreachable("the store is away"), "core.unreachable"),
        (asyncio.CancelledError(), "gate.timeout"),
        (None, "gate.failed"),
        ("allow", "gate.failed"),
    ],
)
async def test_a_gate_that_fails_holds_with_the_error_as_evidence(what, code):
    (decision,) = await gates(Says("broken", what)).ask(question())
    assert (decision.gate, decision.verdict) == ("broken", GateVerdict.HOLD)
    assert decision.evidence["code"] == code
    assert "\x1b" not in decision.reason + str(decision.evidence)


@pytest.mark.parametrize(
    "evidence", [{"ratio": float("nan")}, {"big": 2**60}, {1: "x"}, {"text": "x" * 20_000}, {"bytes": b"x"}, {"\ud800": 1}]
)
async def test_evidence_that_cannot_be_stored_is_a_failure_of_the_gate(evidence):
    (decision,) = await gates(Says("odd", evidence=evidence)).ask(question())
    assert decision.verdict is GateVerdict.HOLD
    assert set(decision.evidence) == {"error", "code", "fails_open"}


async def test_reasons_are_one_short_printable_line():
    (decision,) = await gates(Says("long", reason="a\nb\x1b[2J" + "x" * 5000)).ask(question())
    assert len(decision.reason) <= 500
    assert decision.reason.startswith("a b\\x1b[2J")


async def test_an_overridden_gate_allows_and_the_record_tells_what_it_said():
    asked = gates(Says("a"), Says("b", GateVerdict.REFUSE), Says("target-lock", GateVerdict.HOLD))
    found = {one.gate: one for one in await asked.ask(question(), overrides=["a", "b", "target-lock", "gone"])}
    assert (found["b"].verdict, found["b"].is_overridden) == (GateVerdict.ALLOW, True)
    assert found["b"].evidence["overridden_verdict"] == "refuse"
    assert found["a"].is_overridden is False  # it allowed by itself
    assert found["target-lock"].verdict is GateVerdict.HOLD


async def test_a_gate_is_asked_always_or_where_the_plan_names_it():
    asked = gates(Says("always"), Says("named", asks_always=False))
    assert [one.gate for one in await asked.ask(question())] == ["always"]
    assert len(await asked.ask(question(planned(gates=("named",))))) == 2


async def test_a_name_that_no_gate_has_is_a_usage_error_with_a_suggestion():
    asked = gates(Says("error-budget"))
    with pytest.raises(GateUnknown, match="eror-budget") as unknown:
        await asked.ask(question(planned(gates=("eror-budget",))))
    assert unknown.value.hint == "did you mean error-budget?"
    with pytest.raises(GateUnknown):
        asked.check_override("\x1b[2J")
    with pytest.raises(Refused, match="cannot be overridden"):
        gates(Says("target-lock")).check_override("target-lock")


async def test_whoever_asks_may_be_cancelled_and_no_gate_goes_on():
    slow = Says("slow", seconds=60)
    task = asyncio.ensure_future(gates(slow, seconds=30).ask(question()))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.01)
    assert slow.ended == ["slow"]


def test_two_gates_of_one_name_are_a_defect():
    with pytest.raises(ValueError, match="names of their own"):
        gates(Says("a"), Says("a"))


@pytest.mark.parametrize(
    ("target", "cluster", "environment"),
    [
        ("cluster/orders", "orders", "prod"),
        ("cluster/trial/instance/trial-1", "trial", "test"),
        ("cluster/gone", "gone", None),
        ("host/orders", None, None),
        ("cluster", None, None),
        ("cluster/", None, None),
    ],
)
def test_cluster_and_labels_come_from_the_target(target, cluster, environment):
    asked = question_for(planned(target=target, risk=Risk.MILD), FLEET, requested_by="alice", at=NOW)
    assert (asked.cluster, asked.labels.get("environment")) == (cluster, environment)
