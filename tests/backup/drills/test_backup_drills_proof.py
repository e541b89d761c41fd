"""The gate and the checklist: what a proof is worth, and when it is none."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from drills_kit import CLUSTER, NOON, backup_set, drill
from drills_world import policy_of

from dbre.capabilities.backup.catalog.drills import insert_drill
from dbre.capabilities.backup.drilling.gate import PROVEN_RESTORE, ProvenRestoreGate
from dbre.capabilities.backup.drilling.gate_documents import ProofPolicyDocument, proof_policies
from dbre.capabilities.backup.drilling.levels import failed, inconclusive, passed
from dbre.capabilities.backup.drilling.proof import Answer, Proof, proof_of
from dbre.capabilities.backup.drilling.views import drill_view, drills_view, proofs_view
from dbre.capabilities.backup.model import Catalog, DrillVerdict, SetState
from dbre.core.errors import ExitCode
from dbre.core.gates.model import GateDecision, GateQuestion, GateVerdict, Moment
from dbre.core.operation.plan import Plan, PlannedOperation, Risk
from dbre.core.store import Store, open_store
from dbre.ports.backup.model import CopyKind
from dbre.testing.clock import FakeClock

NOW = NOON + timedelta(days=2)
RESULTS = (
    passed("L1", "copies", "equal"),
    passed("L3", "recovery", "came to its target", is_jailed=True),
    passed("L4", "checksums", "12 tables are sound"),
    inconclusive("L4", "amcheck/indexes", "the database has no extension amcheck"),
    passed("L5", "canary", "unbroken"),
)
QUESTIONS = (
    "a restore was proved lately",
    "the latest full copy and its increments are verified",
    "it was restored apart from everything else",
    "checksums and indexes are sound",
    "the data are those that were acknowledged",
    "the recovery point is within its objective",
    "the recovery time is within its objective",
    "the evidence is archived",
)


@pytest_asyncio.fixture(loop_scope="session")
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 'dbre.db'}", clock=FakeClock(NOW), migrate=True) as made:
        yield made


async def ask(store: Store | None, *, kind: str = "schema.migrate", policies: Any = (), **plan: Any) -> GateDecision:
    documents = tuple(ProofPolicyDocument.model_validate(one) for one in policies)
    gate = ProvenRestoreGate(store, proof_policies(documents), policy_of=lambda _: policy_of())
    given = {"target": f"cluster/{CLUSTER}", "summary": "", "steps": (), "risk": Risk.SEVERE} | plan
    planned = PlannedOperation(kind=kind, definition_version=1, input={}, plan=Plan(**given))
    labels = {"cluster": CLUSTER}
    question = GateQuestion(
        operation_id=None, planned=planned, requested_by="alice", moment=Moment.START, step=None, cluster=CLUSTER,
        labels=labels, at=NOW,
    )  # fmt: skip
    return await gate.decide(question)


async def put(store: Store, *drills: Any) -> None:
    async with store.begin() as connection:
        for one in drills:
            await insert_drill(connection, one)


STRICT = [{"name": "severe", "then": "refuse", "max_age": "2d"}]


async def test_what_nobody_asked_a_proof_for_goes_on(store: Store) -> None:
    assert (await ask(store)).verdict is GateVerdict.ALLOW
    assert (await ask(store, policies=STRICT, risk=Risk.MILD)).verdict is GateVerdict.ALLOW
    assert (await ask(store, policies=STRICT, tags=("restore",))).verdict is GateVerdict.ALLOW
    assert (await ask(store, policies=STRICT, kind="backup.take")).verdict is GateVerdict.ALLOW


async def test_without_any_proof_it_is_held_or_refused_as_the_policy_says(store: Store) -> None:
    held = await ask(store, gates=(PROVEN_RESTORE,))
    assert held.verdict is GateVerdict.HOLD
    assert "no restore of orders was ever proved" in held.reason
    assert (await ask(store, policies=STRICT)).verdict is GateVerdict.REFUSE


async def test_a_proof_counts_as_long_as_the_policy_says(store: Store) -> None:
    await put(store, drill(1))  # 47 hours old
    found = await ask(store, policies=STRICT)
    assert found.verdict is GateVerdict.ALLOW
    assert found.evidence["proof"] == str(UUID(int=1))
    old = await ask(store, policies=[{"name": "severe", "max_age": "1d"}])
    assert old.verdict is GateVerdict.HOLD
    assert "1d 23h old, the limit is 1d" in old.reason
    assert (await ask(store, gates=(PROVEN_RESTORE,))).verdict is GateVerdict.ALLOW  # drill.proof_age: 8 d


async def test_a_failed_drill_after_it_takes_the_proof_away_and_an_inconclusive_one_does_not(store: Store) -> None:
    await put(store, drill(1), drill(2, verdict=DrillVerdict.INCONCLUSIVE, reason="no answer"))
    assert (await ask(store, policies=STRICT)).verdict is GateVerdict.ALLOW
    await put(store, drill(3, verdict=DrillVerdict.FAIL, reason="L2 log: a hole"))
    found = await ask(store, policies=STRICT)
    assert found.verdict is GateVerdict.REFUSE
    assert "L2 log: a hole" in found.reason


async def test_a_drill_that_never_passed_is_no_proof(store: Store) -> None:
    await put(store, drill(1, verdict=DrillVerdict.INCONCLUSIVE))
    assert (await ask(store, policies=STRICT)).verdict is GateVerdict.REFUSE


# --- the checklist


def proof(one: Any = None, *, sets: Any = None, now: Any = NOW, has_evidence: bool = True) -> Proof:
    known = [backup_set()] if sets is None else sets
    catalog = Catalog(sets=tuple(known), logs=(), switches=())
    return proof_of(CLUSTER, policy_of(), catalog, one, now=now, has_evidence=has_evidence)


def answers(found: Proof) -> dict[str, Answer]:
    return {line.question: line.answer for line in found.lines}


def test_a_good_drill_answers_every_line_with_yes() -> None:
    found = proof(drill(1, results=RESULTS))
    assert tuple(answers(found)) == QUESTIONS
    assert set(answers(found).values()) == {Answer.YES}
    assert found.holds
    assert proofs_view([found]).exit_code is ExitCode.OK


def test_without_a_drill_nothing_is_proved() -> None:
    found = proof(None)
    assert not found.holds
    assert Answer.YES not in {value for name, value in answers(found).items() if "verified" not in name}


BROKEN: list[tuple[str, dict[str, Any], dict[str, Any], str, Answer]] = [
    ("failed", {"verdict": DrillVerdict.FAIL}, {}, QUESTIONS[0], Answer.NO),
    ("too-old", {}, {"now": NOON + timedelta(days=30)}, QUESTIONS[0], Answer.NO),
    ("no-full", {}, {"sets": []}, QUESTIONS[1], Answer.NO),
    (
        "failed-increment",
        {},
        {"sets": [backup_set(), backup_set(2, kind=CopyKind.INCREMENTAL, parent_id=backup_set().id, state=SetState.FAILED)]},
        QUESTIONS[1],
        Answer.NO,
    ),
    (
        "no-jail",
        {"results": (*RESULTS[:1], passed("L3", "recovery", "it", is_jailed=False))},
        {},
        QUESTIONS[2],
        Answer.UNKNOWN,
    ),
    ("broken-index", {"results": (*RESULTS, failed("L4", "amcheck/indexes", "damaged"))}, {}, QUESTIONS[3], Answer.NO),
    ("not-compared", {"results": RESULTS[:-1]}, {}, QUESTIONS[4], Answer.UNKNOWN),
    ("lost-too-much", {"recovery_point_seconds": 400.0}, {}, QUESTIONS[5], Answer.NO),
    ("point-unknown", {"recovery_point_seconds": None}, {}, QUESTIONS[5], Answer.UNKNOWN),
    ("too-slow", {"recovery_time_seconds": 4_000.0}, {}, QUESTIONS[6], Answer.NO),
    ("not-measured", {"mode": "fast", "recovery_time_seconds": None}, {}, QUESTIONS[6], Answer.UNKNOWN),
    ("no-evidence", {}, {"has_evidence": False}, QUESTIONS[7], Answer.NO),
]


@pytest.mark.parametrize(
    ("changes", "given", "question", "answer"), [one[1:] for one in BROKEN], ids=[one[0] for one in BROKEN]
)
def test_one_broken_line_is_told_and_the_whole_does_not_hold(
    changes: dict[str, Any], given: dict[str, Any], question: str, answer: Answer
) -> None:
    found = proof(drill(1, **({"results": RESULTS} | changes)), **given)
    assert answers(found)[question] is answer
    assert not found.holds
    assert proofs_view([found]).exit_code is ExitCode.FINDINGS


def test_views_say_what_was_found_and_end_with_findings_unless_it_passed() -> None:
    good, bad = drill(1, results=RESULTS), drill(2, results=RESULTS, verdict=DrillVerdict.FAIL)
    assert drill_view(good).exit_code is ExitCode.OK
    assert drill_view(bad).exit_code is ExitCode.FINDINGS
    assert [row["verdict"] for row in drills_view([bad, good]).items] == ["fail", "pass"]
