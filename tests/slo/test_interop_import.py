"""SLO files of other tools: what becomes of them, and what is said of everything that is wrong or lost."""

from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from dbre.capabilities.slo.budgeting_method import Method
from dbre.capabilities.slo.composite_documents import CompositeDocument, composites_from
from dbre.capabilities.slo.interop.importing import Imported, import_files, import_text
from dbre.capabilities.slo.interop.model import Defaults
from dbre.capabilities.slo.interop.promql import bad_expression, counter_of
from dbre.capabilities.slo.polling.expression import check_counter
from dbre.capabilities.slo.sources import PrometheusSource, SqlSource
from dbre.capabilities.slo.window import CalendarUnit, CalendarWindow, RollingWindow
from dbre.core.config.problems import ConfigInvalid

DEFAULTS = Defaults(selector={"cluster": "orders"})

SLOTH = """\
version: "prometheus/v1"
service: "myservice"
slos:
  - name: "requests-availability"
    objective: 99.9
    description: "Requests are answered."
    sli:
      events:
        error_query: sum(rate(http_requests_total{job="myservice",code=~"(5..|429)"}[{{.window}}]))
        total_query: sum(rate(http_requests_total{job="myservice"}[{{.window}}]))
    alerting:
      name: MyServiceHighErrorRate
      page_alert: {labels: {severity: pageteam}}
      ticket_alert: {disable: true}
"""
OPENSLO = """\
apiVersion: openslo/v1
kind: SLO
metadata: {name: web-availability, displayName: Web}
spec:
  service: web
  indicatorRef: web-successful
  timeWindow:
    - duration: 1M
      isRolling: false
      calendar: {startTime: 2022-01-01 00:00:00, timeZone: America/New_York}
  budgetingMethod: Timeslices
  objectives:
    - {displayName: Good, target: 0.995, timeSliceTarget: 0.95, timeSliceWindow: 1m}
  alertPolicies:
    - alertPolicyRef: fast
---
apiVersion: openslo/v1
kind: SLI
metadata: {name: web-successful}
spec:
  ratioMetric:
    counter: true
    good:
      metricSource: {metricSourceRef: main, type: Prometheus, spec: {query: 'sum(http_requests{code=~"2xx|4xx",app="web"})'}}
    total: {metricSource: {metricSourceRef: main, type: Prometheus, spec: {query: 'sum(http_requests{app="web"})'}}}
---
apiVersion: openslo/v1
kind: AlertPolicy
metadata: {name: fast}
spec:
  alertWhenNoData: false
  conditions: [{conditionRef: burns}]
  notificationTargets: []
---
apiVersion: openslo/v1
kind: AlertCondition
metadata: {name: burns}
spec:
  severity: page
  condition: {kind: burnrate, op: gt, threshold: 2, lookbackWindow: 1h, alertAfter: 5m}
"""
PYRRA = """\
apiVersion: pyrra.dev/v1alpha1
kind: ServiceLevelObjective
metadata: {name: apiserver-latency, namespace: test}
spec:
  description: ""
  target: "99"
  window: 2w
  indicator:
    latency:
      success: {metric: 'api_duration_bucket{job="api",le="5"}'}
      total: {metric: 'api_duration_count{job="api"}'}
      grouping: [cluster]
"""


def imported(text: str, defaults: Defaults = DEFAULTS) -> Imported:
    return import_text(text, defaults, source="given.yaml")


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigInvalid) as caught:
        imported(text)
    return [str(one) for one in caught.value.problems]


def test_an_slo_of_sloth_counts_the_same_events_and_pages_without_its_disabled_tickets() -> None:
    (document,) = imported(SLOTH).documents
    assert document.name == "myservice-requests-availability"
    assert document.target == Decimal("0.999")
    definition = document.definition()
    source = definition.sli.source
    assert isinstance(source, PrometheusSource)
    assert source.bad == 'http_requests_total{job="myservice",code=~"(5..|429)"}'
    assert source.total == 'http_requests_total{job="myservice"}'
    assert [(rule.severity, rule.long_seconds) for rule in definition.rules_for(2_592_000)] == [
        ("page", 3600),
        ("page", 21_600),
    ]
    assert any("labels and annotations" in one.message for one in imported(SLOTH).lost)


def test_objects_of_openslo_that_name_each_other_are_found_in_any_document() -> None:
    (document,) = imported(OPENSLO).documents
    definition = document.definition()
    assert document.method is Method.TIMESLICES
    assert definition.window == CalendarWindow(unit=CalendarUnit.MONTH, time_zone="America/New_York")
    assert definition.slices is not None
    assert (definition.slices.seconds, definition.slices.target) == (60, Decimal("0.95"))
    assert definition.sli.source == PrometheusSource(
        prometheus="main",
        bad='http_requests{app="web"} unless http_requests{code=~"2xx|4xx",app="web"}',
        total='http_requests{app="web"}',
    )
    (rule,) = definition.rules_for(2_592_000)
    assert (rule.name, rule.severity, rule.factor, rule.long_seconds, rule.for_seconds) == ("burns", "page", 2, 3600, 300)
    assert document.policies.no_data == "ignore"
    assert imported(OPENSLO).left_out == ()


def test_a_latency_of_pyrra_counts_what_lies_above_its_bucket() -> None:
    (document,) = imported(PYRRA).documents
    source = document.definition().sli.source
    assert isinstance(source, PrometheusSource)
    assert source.bad == 'api_duration_count{job="api"} - ignoring(le) api_duration_bucket{job="api",le="5"}'
    assert source.group_label == "cluster"
    assert document.definition().window == RollingWindow(seconds=14 * 86_400)


def test_the_plain_shape_becomes_an_slo_for_each_promise() -> None:
    text = "service: Orders\navailability: {objective: 99.9, window_days: 28}\nlatency_p95_ms: 200\nfreshness_minutes: 5\n"
    found = {one.name: one for one in imported(text).documents}
    assert found.keys() == {"orders-availability", "orders-latency-p95", "orders-freshness"}
    assert found["orders-latency-p95"].definition().sli.limit_ms == 200
    assert found["orders-latency-p95"].target == Decimal("0.95")
    assert found["orders-freshness"].definition().sli.limit_ms == 300_000
    assert {one.definition().window for one in found.values()} == {RollingWindow(seconds=28 * 86_400)}


def test_v2alpha_and_v1alpha_are_read_as_well() -> None:
    v2 = """\
- apiVersion: openslo.com/v2alpha
  kind: SLO
  metadata: {name: v2}
  spec:
    service: web
    sli:
      metadata: {name: good-requests}
      spec:
        ratioMetric:
          counter: true
          bad: {dataSourceRef: my-prometheus, spec: {query: 'http{code="500"}'}}
          total: {dataSourceRef: my-prometheus, spec: {query: http}}
    timeWindow: [{duration: 4w, isRolling: true}]
    budgetingMethod: RatioTimeslices
    objectives: [{targetPercent: 99.5, timeSliceWindow: 5m}]
- apiVersion: openslo/v1alpha
  kind: SLO
  metadata: {name: v1alpha}
  spec:
    service: web
    timeWindows: [{unit: Week, count: 1, isRolling: true}]
    budgetingMethod: Occurrences
    objectives:
      - target: 0.99
        ratioMetrics:
          incremental: true
          good: {source: Prometheus, queryType: promql, query: 'http{code="200"}'}
          total: {source: Prometheus, queryType: promql, query: http}
"""
    first, second = sorted(imported(v2).documents, key=lambda one: one.name, reverse=True)
    assert (first.name, first.method, first.target) == ("v2", Method.RATIO_TIMESLICES, Decimal("0.995"))
    assert first.definition().sli.source == PrometheusSource(prometheus="my-prometheus", bad='http{code="500"}', total="http")
    assert second.definition().sli.source == PrometheusSource(
        prometheus="prometheus", bad='http unless http{code="200"}', total="http"
    )


def test_a_value_of_sql_below_a_threshold_becomes_a_query_with_a_limit() -> None:
    text = """\
apiVersion: openslo/v1
kind: SLO
metadata: {name: lag}
spec:
  service: db
  indicator:
    metadata: {name: lag}
    spec: {thresholdMetric: {metricSource: {type: PostgreSQL, spec: {query: SELECT 1 AS value}}}}
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{op: lte, value: 30, target: 0.99}]
"""
    (document,) = imported(text).documents
    assert document.definition().sli.source == SqlSource(query="SELECT 1 AS value", limit=30.0)


def composite_text(second: str = "writes", code: str = "all") -> str:
    metric = "metricSource: {type: Prometheus, spec: {query: 'http{code=\"%s\"}'}}"
    objectives = "".join(
        f"""
    - displayName: {name}
      target: 0.99
      compositeWeight: {weight}
      indicator:
        metadata: {{name: {name}}}
        spec: {{ratioMetric: {{counter: true, bad: {{{metric % "500"}}}, total: {{{metric % code}}}}}}}"""
        for name, weight in (("reads", 3), (second, 1))
    )
    return f"""\
apiVersion: openslo/v1
kind: SLO
metadata: {{name: shop}}
spec:
  service: shop
  description: The whole shop.
  timeWindow: [{{duration: 30d, isRolling: true}}]
  budgetingMethod: Occurrences
  objectives:{objectives}
"""


def test_a_composite_is_carried_over_as_one_with_its_parts() -> None:
    found = imported(composite_text())
    assert [one.name for one in found.documents] == ["shop-reads", "shop-writes"]
    (composite,) = found.composites
    members = [{"slo": "shop-reads", "weight": "3"}, {"slo": "shop-writes", "weight": "1"}]
    assert composite.document == {"name": "shop", "description": "The whole shop.", "join": "weighted", "of": members}
    (read,) = composites_from((CompositeDocument.model_validate(composite.document),))
    assert [(one.slo, one.weight) for one in read.members] == [("shop-reads", 3), ("shop-writes", 1)]
    assert list(yaml.safe_load(found.text())) == ["slos", "slo_composites"]
    assert not any("composite" in one.message for one in found.lost)


def test_a_composite_whose_part_is_left_out_is_left_out_too_and_one_with_a_part_twice_is_wrong() -> None:
    text = composite_text().replace('http{code="500"}', "max(http)", 1)
    found = imported(text)
    assert [one.name for one in found.documents] == ["shop-writes"]
    assert found.composites == ()
    assert any("the composite is left out, because 1 of its 2 parts are" in one.message for one in found.lost)
    assert any("twice a member" in one for one in problems(composite_text(second="reads")))
    assert any("another composite has the name shop" in one for one in problems(f"{composite_text()}---\n{composite_text()}"))


@pytest.mark.parametrize(
    ("text", "left_out"),
    [
        (SLOTH.replace("events:", "raw: {error_ratio_query: 'x[{{.window}}]'}\n      x-events:"), "unknown key"),
        (SLOTH.replace('sum(rate(http_requests_total{job="myservice"}[{{.window}}]))', "max(rate(x[{{.window}}]))"), None),
    ],
)
def test_what_cannot_be_counted_is_left_out_with_a_reason(text: str, left_out: str | None) -> None:
    if left_out is not None:
        assert any(left_out in one for one in problems(text))
        return
    found = imported(text)
    assert found.documents == ()
    (lost,) = found.left_out
    assert "total_query is more than the sum of rates of one selector" in lost.message
    assert lost.place.line == 4


def test_all_problems_of_all_files_are_told_at_once_with_their_places(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(SLOTH.replace("objective:", "objectiv:").replace("page_alert", "pagealert"))
    (tmp_path / "two.yaml").write_text(PYRRA.replace('"99"', '"0.99"') + "---\napiVersion: openslo/v2\nkind: SLO\n")
    (tmp_path / "three.yaml").write_text(OPENSLO.replace("web-successful}", "web-succesful}"))
    with pytest.raises(ConfigInvalid) as caught:
        import_files([tmp_path / "one.yaml", tmp_path / "two.yaml", tmp_path / "three.yaml", tmp_path / "none"], DEFAULTS)
    told = [(Path(one.place.source).name, one.place.line, one.message, one.hint or "") for one in caught.value.problems]
    assert ("one.yaml", 5, "sloth.slos[0]: unknown key 'objectiv'", "did you mean objective?") in told
    assert any(name == "one.yaml" and "unknown key 'pagealert'" in text for name, _, text, _ in told)
    assert any(name == "two.yaml" and line == 1 and "did you mean 99?" in hint for name, line, _, hint in told)
    assert any(
        name == "two.yaml" and line == 14 and "apiVersion 'openslo/v2' is not known" in text for name, line, text, _ in told
    )
    assert any(name == "three.yaml" and "did you mean web-succesful?" in hint for name, _, _, hint in told)
    assert any(name == "none" and "cannot be read" in text for name, _, text, _ in told)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[{{.window}}]", "[5m]", "does not hold {{.window}}"),
        ('{job="myservice",code=~"(5..|429)"}', '{job="myservice"}', "are the same"),
        ("name: MyServiceHighErrorRate", "labels: {}", "alerting.name is missing"),
        ("objective: 99.9", "objective: 0.999", "did you mean 99.9?"),
        ("objective: 99.9", "objective: 100.5", "at most 100"),
        ("objective: 99.9", "objective: .nan", "not a finite number"),
        ("objective: 99.9", "objective: 100", "leaves no error budget"),
        ("objective: 99.9", "objective: 99.9\n    objective: 99", "already given"),
        ('service: "myservice"', "service: yes", "boolean"),
    ],
)
def test_a_wrong_file_of_sloth_is_refused(old: str, new: str, message: str) -> None:
    assert any(message in one for one in problems(SLOTH.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("duration: 1M", "duration: 1.5h", "is not a duration"),
        ("duration: 1M", "duration: 0m", "is not a duration"),
        ("isRolling: false", "isRolling: true", "rolling, or has a calendar"),
        ("America/New_York", "America/Newyork", "is not a time zone"),
        ("target: 0.995", "target: 0.995, targetPercent: 99", "exactly one of target and targetPercent"),
        ("target: 0.995", "target: 1", "below 1"),
        (", timeSliceTarget: 0.95", "", "needs timeSliceTarget"),
        ("indicatorRef: web-successful", "sliRef: web-successful", "unknown key 'sliRef' in openslo/v1"),
        ("budgetingMethod: Timeslices", "budgetingMethod: TimeSlices", "Occurrences, Timeslices"),
        ("alertPolicyRef: fast", "alertPolicyRef: fats", "did you mean fast?"),
        ("lookbackWindow: 1h", "lookbackWindow: 400d", "looks back over"),
        ("name: web-availability", "name: Web_Availability", "fits"),
        ("kind: SLI", "kind: SLIs", "did you mean SLI?"),
    ],
)
def test_a_wrong_object_of_openslo_is_refused(old: str, new: str, message: str) -> None:
    assert any(message in one for one in problems(OPENSLO.replace(old, new)))


def test_two_files_with_one_name_are_told_with_both_places() -> None:
    (text,) = problems(PYRRA + "---\n" + PYRRA)
    assert text.startswith("given.yaml:14:1: another SLO has the name apiserver-latency: given.yaml:1:1")


def test_a_billion_laughs_and_a_deep_nest_end_early() -> None:
    laughs = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(8)
    )
    assert any("aliases written out" in one for one in problems(laughs))
    assert any("nested deeper" in one for one in problems("apiVersion: " + "[" * 100 + "]" * 100))


@pytest.mark.parametrize(
    ("query", "counter"),
    [
        ("http_total", "http_total"),
        ("sum(increase(http_total{a='}'}[1m]))", "http_total{a='}'}"),
        ("sum by (job) (rate(http_total[{{ .window }}]))", "http_total"),
        ("sum(rate(http_total[5m])) by (job)", "http_total"),
        ("sum(rate(a[5m])) + sum(rate(b[5m]))", None),
        ("sum(rate(a[5m])) - sum(rate(b[5m]))", None),
        ("histogram_quantile(0.9, sum(rate(a[5m])))", None),
        ("sum(rate(a[5m] offset 1h))", None),
        ("sum(", None),
        ("", None),
    ],
)
def test_counters_are_found_in_the_queries_of_other_tools(query: str, counter: str | None) -> None:
    assert counter_of(query) == counter
    if counter is not None:
        check_counter(counter)


@pytest.mark.parametrize(
    ("good", "total", "bad"),
    [
        ('a_bucket{le="1"}', "a_count", 'a_count - ignoring(le) a_bucket{le="1"}'),
        ('a_bucket{le="1"}', 'a_bucket{le="+Inf"}', 'a_bucket{le="+Inf"} - ignoring(le) a_bucket{le="1"}'),
        ('a_bucket{le="1"}', 'a_bucket{le="2"}', None),
        ('a_bucket{le="1",x="y"}', "a_count", None),
        ('a_bucket{le="1"}', "a_bucket", None),
        ("a", "b", None),
        ("a", "a", None),
    ],
)
def test_bad_events_follow_from_good_and_all_only_where_no_series_holds_both(good: str, total: str, bad: str | None) -> None:
    assert bad_expression(good, total) == bad
