"""A throw-away Prometheus and Alertmanager do what real ones do: they keep what they got, and say what they do not like."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from dbre.core.programs.errors import BinariesMissing
from dbre.lab.alertmanager import AlertmanagerServer
from dbre.lab.errors import ServerFailed
from dbre.lab.prometheus import PrometheusServer, find_prometheus
from dbre.lab.site import Site

RULE = "groups: [{name: g, rules: [{record: 'twice:requests', expr: '2 * requests_total'}]}]"


async def test_prometheus_answers_about_a_past_that_was_never_scraped(prometheus: PrometheusServer) -> None:
    start = (int(time.time()) - 3 * 86_400) // 300 * 300
    lines = [f'requests_total{{job="a"}} {minute} {start + 60 * minute}' for minute in range(121)]
    await prometheus.backfill("\n".join(["# TYPE requests counter", *lines, "# EOF\n"]))
    (series,) = await prometheus.query("increase(requests_total[1h])", at=start + 7_200)
    assert float(series["value"][1]) == pytest.approx(60)
    await prometheus.backfill_rules(RULE, start=start, end=start + 7_200)
    (series,) = await prometheus.query("twice:requests", at=start + 3_600)
    assert 110 <= float(series["value"][1]) <= 120  # promtool evaluates each 5 min, at moments of its own


async def test_prometheus_says_what_is_wrong_with_rules(prometheus: PrometheusServer) -> None:
    await prometheus.configure(rules={"good.yml": RULE})
    groups = (await prometheus.get("/api/v1/rules"))["data"]["groups"]
    assert [group["name"] for group in groups] == ["g"]
    with pytest.raises(ServerFailed, match="reload"):
        await prometheus.configure(rules={"bad.yml": "groups: [{name: g, rules: [{record: x, expr: 'sum('}]}]"})
    await prometheus.configure(rules={})


async def test_alertmanager_shows_an_alert_until_it_ends(alertmanager: AlertmanagerServer) -> None:
    now = datetime.now(UTC)
    alert = {"labels": {"alertname": "Test", "severity": "page"}, "endsAt": (now + timedelta(hours=1)).isoformat()}
    await alertmanager.post("/api/v2/alerts", [alert])
    (found,) = await alertmanager.alerts(only='alertname="Test"')
    assert found["labels"]["severity"] == "page"
    await alertmanager.post("/api/v2/alerts", [{**alert, "endsAt": (now - timedelta(seconds=1)).isoformat()}])
    assert await alertmanager.alerts(only='alertname="Test"') == []
    with pytest.raises(ServerFailed, match="reload"):
        await alertmanager.configure({"route": {"receiver": "missing"}, "receivers": [{"name": "other"}]})
    await alertmanager.configure({"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]})


def test_a_missing_prometheus_is_told_with_the_package(lab_site: Site) -> None:
    with pytest.raises(BinariesMissing, match="no prometheus in") as missing:
        find_prometheus(account=lab_site.account, bindir=lab_site.directory)
    assert "apt: prometheus" in str(missing.value.hint)
