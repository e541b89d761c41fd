"""What the page of an SLO says of corrections, versions, groups, composites and alerts about the budget: no server needed."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dbre.capabilities.slo import SLOS, definitions_from
from dbre.capabilities.slo.assessment import Measured, assess
from dbre.capabilities.slo.composite import Composite, Join, Member, combined
from dbre.capabilities.slo.correction import Correction
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.definition import instances_of
from dbre.capabilities.slo.model import SloStatus
from dbre.capabilities.slo.series import SlotSeries, slot_at
from dbre.capabilities.slo.versions import Version
from dbre.core.config import load
from dbre.core.fleet_document import FLEET, build_fleet
from dbre.web.charts import Mark, line_chart
from dbre.web.pages.slo_charts import mark_data, summary_of
from dbre.web.pages.slo_surroundings import Surroundings
from dbre.web.templates import render

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
END = slot_at(NOW) + 1
MARKUP = "<script>alert(1)</script>"
CONFIGURATION = """
fleet:
  clusters:
    - {name: orders, environment: prod, engine: postgresql, instances: [{name: orders-1, host: 127.0.0.1}]}
slos:
  - name: writes
    selector: {environment: prod}
    sli: {kind: availability, purpose: write}
    target: 99%
    window: {rolling: 1d}
    budget_alerts:
      - {severity: ticket, remaining: 25%}
      - {severity: ticket, within: 3d}
  - name: reads
    selector: {environment: prod}
    sli: {kind: availability, purpose: read}
    target: 95%
    window: {rolling: 1d}
"""


def series(*, bad_every: int) -> SlotSeries:
    found = SlotSeries()
    for slot in range(END - 360, END):
        found.add(slot, Counts(good=1, bad=int(slot % bad_every == 0)))
    return found


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Measured]:
    path: Path = tmp_path_factory.mktemp("slo") / "dbre.yaml"
    path.write_text(CONFIGURATION)
    config = load([path], sections=[FLEET, SLOS], environment={}, flags={})
    fleet = build_fleet(config, default_ports={"postgresql": 5432})
    instances = instances_of(definitions_from(config.get(SLOS)), fleet)
    counted = series(bad_every=20)
    known = {"interval_ms": 10_000, "silent_seconds": 0.0, "lost_after_seconds": 60.0}
    return {
        one.definition.name: Measured(instance=one, series=counted, recent=counted, **known)  # type: ignore[arg-type]  # the same for both
        for one in instances
    }


def page(status: SloStatus, **around: Any) -> str:
    chart = line_chart(
        [(NOW, 0.5)],
        start=NOW.replace(hour=11),
        end=NOW,
        marks=[
            Mark(at=NOW.replace(hour=11, minute=20), title=MARKUP, href="/operations/1"),
            Mark(at=NOW.replace(hour=11, minute=40), title="INC-7: slow", href="/incidents/INC-7", kind="incident"),
        ],
    )
    nothing = Surroundings(groups=(), group_count=0, whole=None, composites=(), corrections=())
    values = {
        "status": status,
        "chart": chart,
        "summary": summary_of(status),
        "mark_data": mark_data(chart),
        "burns": [],
        "around": replace(nothing, **around),
        "graphs": "",
    }
    request: Any = SimpleNamespace(state=SimpleNamespace(nonce="n"), url=SimpleNamespace(path="/slo"))
    return render(request, "_slo_detail.html", title="x", **values)


def test_incidents_and_operations_are_marked_apart_and_never_markup(measured: dict[str, Measured]) -> None:
    text = page(assess(measured["writes"], NOW))
    assert '<g class="mark incident">' in text
    assert '<g class="mark operation">' in text
    assert '<a href="/incidents/INC-7">INC-7: slow</a>' in text
    assert MARKUP not in text


def test_alerts_about_the_budget_say_what_is_left_and_their_threshold(measured: dict[str, Measured]) -> None:
    text = page(assess(measured["writes"], NOW))
    assert "budget-25" in text
    assert "at most 25.00 %" in text
    assert "exhaustion-3d" in text
    assert "within 3d" in text
    assert text.count("nothing measured") == 2  # of the rules of telemetry alone


def test_a_correction_is_shown_with_the_numbers_without_it(measured: dict[str, Measured]) -> None:
    correction = Correction(
        id="c1",
        slo="writes",
        cluster="orders",
        group="",
        start_slot=END - 120,
        end_slot=END - 60,
        reason=f"drill {MARKUP}",
        operation_id="0192",
        created_by="ann",
        created_at=NOW,
    )
    one = measured["writes"]
    corrected = replace(one, raw=series(bad_every=10), corrected=((END - 120, END - 60),))
    text = page(assess(corrected, NOW), corrections=(correction,))
    assert "10m of the window do not count. With them: 36 of 396 events bad" in text
    assert 'href="/operations/0192"' in text
    assert MARKUP not in text
    assert "do not count" not in page(assess(one, NOW))


def test_an_earlier_version_is_shown_with_what_it_spent(measured: dict[str, Measured]) -> None:
    earlier = Version(start_slot=END - 360, end_slot=END - 180, target=Decimal("0.5"), sli_hash="x")
    text = page(assess(replace(measured["writes"], earlier=(earlier,)), NOW))
    assert "Earlier versions" in text
    assert "50.000 %" in text
    assert "Earlier versions" not in page(assess(measured["writes"], NOW))


def test_groups_of_a_roll_up_and_the_whole_of_a_group_are_linked(measured: dict[str, Measured]) -> None:
    whole = assess(measured["writes"], NOW)
    group = replace(whole, group="a/b c")
    assert 'href="/slo/writes/orders?group=a%2Fb%20c"' in page(whole, groups=(group,), group_count=1)
    assert 'This is group a/b c of <a href="/slo/writes/orders">' in page(group, whole=whole)


def test_a_composite_names_its_members_with_their_weights(measured: dict[str, Measured]) -> None:
    statuses = [assess(one, NOW) for one in measured.values()]
    members = tuple(Member(slo=one.name) for one in statuses)
    composite = Composite(name="shop", description="", join=Join.WEIGHTED, members=members)
    text = page(statuses[0], composites=combined([composite], statuses, ["orders", "elsewhere"]))
    assert text.count('href="/slo/reads/orders"') == 1
    assert "weight 1" in text
