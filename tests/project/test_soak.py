"""The verdict of a soak: each way in which a control plane can lie about its alerts is noticed."""

import importlib.util
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@dataclass
class Arrived:
    webhook_id: str
    is_signed: bool = True


@dataclass
class Box:
    deliveries: list[Arrived] = field(default_factory=list)


@pytest.fixture(scope="module")
def soak() -> ModuleType:
    spec = importlib.util.spec_from_file_location("soak", ROOT / "bench/soak.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["soak"] = module
    spec.loader.exec_module(module)
    return module


def event(name: str, kind: str, alert: str) -> dict[str, Any]:
    data = {"alert_id": alert, "slo": "writes", "cluster": "shop", "rule": "page-1m"}
    return {"id": name, "kind": f"slo.alert_{kind}", "data": data}


STORED = [event("1", "fired", "a"), event("2", "resolved", "a"), event("3", "fired", "b"), event("4", "resolved", "b")]


def failed(
    soak: ModuleType, stored: list[dict[str, Any]], arrived: list[Arrived], memory: list[tuple[float, int]]
) -> list[str]:
    return [text for is_kept, text in soak.verdicts(stored, Box(arrived), memory) if not is_kept]


def test_all_is_well_also_if_a_webhook_came_twice_with_one_id(soak: ModuleType) -> None:
    arrived = [Arrived(one) for one in ("1", "2", "2", "3", "4")]
    assert failed(soak, STORED, arrived, []) == []


def test_a_lost_alert_is_noticed(soak: ModuleType) -> None:
    assert failed(soak, STORED, [Arrived(one) for one in "124"], []) == ["1 of them did not arrive"]


def test_a_page_without_an_event_is_noticed(soak: ModuleType) -> None:
    found = failed(soak, STORED, [Arrived(one) for one in "12349"], [])
    assert found == ["1 webhooks speak of events that are not stored"]


def test_a_second_page_for_one_alert_is_noticed(soak: ModuleType) -> None:
    stored = [*STORED, event("5", "fired", "b")]
    found = failed(soak, stored, [Arrived(one) for one in "12345"], [])
    assert found == ["1 alerts fired or resolved twice"]


def test_two_alerts_of_one_rule_at_a_time_are_noticed(soak: ModuleType) -> None:
    stored = [event("1", "fired", "a"), event("2", "fired", "b")]
    assert failed(soak, stored, [Arrived("1"), Arrived("2")], []) == ["1 times fired and resolved do not alternate"]


def test_a_wrong_signature_is_noticed(soak: ModuleType) -> None:
    arrived = [Arrived("1"), Arrived("2", is_signed=False), Arrived("3"), Arrived("4")]
    assert failed(soak, STORED, arrived, []) == ["1 of 4 webhooks have a wrong signature"]


def test_a_soak_without_any_alert_proves_nothing(soak: ModuleType) -> None:
    assert failed(soak, [], [], []) == ["0 alert events were stored"]


@pytest.mark.parametrize(("growth_mib", "is_kept"), [(5, True), (40, False)])
def test_memory_may_not_grow(soak: ModuleType, growth_mib: int, is_kept: bool) -> None:
    memory = [(10.0 * n, (100 << 20) + n * (growth_mib << 20) // 60) for n in range(60)]
    assert (failed(soak, STORED, [Arrived(one) for one in "1234"], memory) == []) is is_kept
