"""Freeze windows and change windows: which operations wait, until when, and what they are told."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from gate_kit import NOW, planned, question

from dbre.core.config import ConfigInvalid, load
from dbre.core.gates.document import GATES, change_windows, freeze_windows
from dbre.core.gates.freeze_window import FreezeWindowGate
from dbre.core.gates.model import GateVerdict, Moment
from dbre.core.operation.plan import Risk

ALLOW, HOLD, REFUSE = GateVerdict.ALLOW, GateVerdict.HOLD, GateVerdict.REFUSE


def gate(tmp_path: Path, text: str) -> FreezeWindowGate:
    path = tmp_path / "dbre.yaml"
    path.write_text(f"gates:\n{text}")
    document = load([path], sections=[GATES], environment={}, flags={}).get(GATES)
    return FreezeWindowGate(freeze_windows(document), change_windows(document))


WEEKEND = """
  freeze_windows:
    - name: weekend
      when: {from: "fri 18:00", until: "mon 08:00"}
      time_zone: Europe/Madrid
      selector: {environment: prod}
      reason: "nobody is here"
"""


async def test_a_freeze_holds_until_its_end_and_says_which_and_why(tmp_path):
    decision = await gate(tmp_path, WEEKEND).decide(question())
    assert decision.verdict is HOLD
    assert decision.valid_until == datetime.fromisoformat("2026-11-23T08:00+01:00")
    assert decision.reason == (
        "settings.apply on cluster/orders waits until Mon 2026-11-23 08:00 CET (in 1d 21h):"
        " freeze window weekend (nobody is here)"
    )
    assert decision.evidence["when"] == "fri 18:00 to mon 08:00"


@pytest.mark.parametrize(
    ("plan", "verdict"),
    [
        (planned(), HOLD),
        (planned(target="cluster/trial"), ALLOW),  # another environment
        (planned(target="host/db1"), ALLOW),  # no cluster, so no labels
        (planned(risk=Risk.READ), ALLOW),
        (planned(risk=Risk.MILD), HOLD),
        (planned(tags=("rollback",)), ALLOW),
        (planned(tags=("security", "x")), ALLOW),
        (planned(tags=("x",)), HOLD),
    ],
)
async def test_who_is_meant(tmp_path, plan, verdict):
    assert (await gate(tmp_path, WEEKEND).decide(question(plan))).verdict is verdict


async def test_kinds_and_exempt_tags_can_be_narrowed(tmp_path):
    text = """
  freeze_windows:
    - {name: chaos, when: {days: [sat]}, kinds: ["chaos.*", "fleet.check"], except: [], verdict: refuse}
"""
    frozen = gate(tmp_path, text)
    assert (await frozen.decide(question(planned("chaos.run", tags=("rollback",))))).verdict is REFUSE
    assert (await frozen.decide(question(planned("fleet.check", risk=Risk.READ)))).verdict is REFUSE
    assert (await frozen.decide(question(planned("chaosx.run")))).verdict is ALLOW
    assert "is refused until Sun 2026-11-22 00:00 UTC" in (await frozen.decide(question(planned("chaos.run")))).reason


async def test_an_operation_that_began_finishes_unless_the_window_says_otherwise(tmp_path):
    for moment in (Moment.BOUNDARY, Moment.INSIDE):
        assert (await gate(tmp_path, WEEKEND).decide(question(moment=moment))).verdict is ALLOW
        strict = gate(tmp_path, WEEKEND + "      running: hold\n")
        assert (await strict.decide(question(moment=moment))).verdict is HOLD


async def test_an_operation_that_would_run_into_a_freeze_waits_for_its_end(tmp_path):
    friday = datetime.fromisoformat("2026-11-20T16:30+01:00")
    frozen = gate(tmp_path, WEEKEND)
    assert (await frozen.decide(question(planned(estimate_seconds=5400), at=friday))).verdict is ALLOW
    decision = await frozen.decide(question(planned(estimate_seconds=5401), at=friday))
    assert decision.verdict is HOLD
    assert "it takes about 1h 30m, and freeze window weekend begins in 1h 30m" in decision.reason
    assert decision.valid_until == datetime.fromisoformat("2026-11-23T08:00+01:00")
    begun = question(planned(estimate_seconds=9999), at=friday, moment=Moment.BOUNDARY)
    assert (await frozen.decide(begun)).verdict is ALLOW


async def test_of_several_freezes_the_strictest_and_then_the_last_counts(tmp_path):
    text = """
  freeze_windows:
    - {name: short, when: {days: [sat], until: "12:00"}}
    - {name: long, when: {days: [sat, sun]}}
    - {name: hard, when: {days: [sat], until: "11:00"}, verdict: refuse}
"""
    decision = await gate(tmp_path, text).decide(question())
    assert (decision.verdict, decision.evidence["window"]) == (REFUSE, "hard")
    assert decision.evidence["windows"] == ["short", "long", "hard"]
    later = await gate(tmp_path, text).decide(question(at=NOW + timedelta(hours=1)))
    assert (later.verdict, later.evidence["window"]) == (HOLD, "long")


CHANGES = """
  change_windows:
    - {name: nights, when: {days: [sat], from: "02:00", until: "04:00"}, time_zone: Europe/Madrid}
    - {name: noon, when: {days: [sun], from: "12:00", until: "13:00"}, time_zone: Europe/Madrid}
"""


@pytest.mark.parametrize(
    ("at", "verdict", "until"),
    [
        ("2026-11-21T02:00+01:00", ALLOW, None),
        ("2026-11-21T03:59+01:00", ALLOW, None),
        ("2026-11-21T04:00+01:00", HOLD, "2026-11-22T12:00+01:00"),
        ("2026-11-22T12:30+01:00", ALLOW, None),
        ("2026-11-22T13:00+01:00", HOLD, "2026-11-28T02:00+01:00"),
    ],
)
async def test_changes_begin_only_while_a_change_window_is_open(tmp_path, at, verdict, until):
    decision = await gate(tmp_path, CHANGES).decide(question(at=datetime.fromisoformat(at)))
    assert decision.verdict is verdict
    assert decision.valid_until == (datetime.fromisoformat(until) if until else None)


async def test_a_change_that_takes_longer_than_the_window_waits_for_the_next(tmp_path):
    at = datetime.fromisoformat("2026-11-21T03:00+01:00")
    decision = await gate(tmp_path, CHANGES).decide(question(planned(estimate_seconds=7000), at=at))
    assert decision.verdict is HOLD
    assert "it takes about 1h 56m, and change window nights closes in 1h" in decision.reason


async def test_without_windows_nothing_stands_in_the_way(tmp_path):
    assert (await FreezeWindowGate().decide(question())).verdict is ALLOW


async def test_asking_costs_microseconds(tmp_path):
    import time

    text = "  freeze_windows:\n" + "".join(
        f'    - {{name: w{index}, when: {{days: [mon], from: "18:00", until: "08:00"}}, time_zone: Europe/Madrid}}\n'
        for index in range(100)
    )
    frozen, asked = gate(tmp_path, text), question()
    await frozen.decide(asked)
    began = time.process_time()
    for _ in range(100):
        await frozen.decide(asked)
    assert (time.process_time() - began) / 100 < 0.005


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("  freeze_windows: [{name: a, when: {days: [saturn]}}]", "day of the week"),
        ("  freeze_windows: [{name: a, when: {days: [sat]}, time_zone: Europe/Madird}]", "not a time zone"),
        ("  freeze_windows: [{name: a, when: {days: [sat]}, kinds: []}]", "no kind at all"),
        ("  freeze_windows: [{name: a, when: {}}]", "days, dates, or from and until"),
        ("  freeze_windows: [{name: a, when: {days: [sat]}}, {name: a, when: {days: [sun]}}]", "another entry has the name a"),
        ('  freeze_windows: [{name: a, when: {days: [sat]}, selector: {"En v": x}}]', "not a label"),
        ('  change_windows: [{name: "a b", when: {days: [sat]}}]', "name"),
    ],
)
def test_mistakes_in_the_configuration_are_named(tmp_path, text, said):
    with pytest.raises(ConfigInvalid) as invalid:
        gate(tmp_path, text + "\n")
    assert said in str([str(one) for one in invalid.value.problems])
