"""Dashboards: every expression is right, every metric in it exists, and nothing overlaps."""

import json
import re
from itertools import combinations
from pathlib import Path

import asyncmy
import pytest
from slo_kit import cluster, definition

from dbre.capabilities.slo.compiler.compilation import WrittenFile, check_files, rule_files
from dbre.capabilities.slo.compiler.dashboards import Dashboard, dashboards
from dbre.capabilities.slo.compiler.rule_file import Group, Record, rendered
from dbre.capabilities.slo.compiler.subject import subjects_of
from dbre.core.fleet import Fleet
from dbre.engines.mysql.metrics import status_family, variable_family
from dbre.engines.postgres.metrics import COLLECTORS
from dbre.engines.redis.metrics import COUNTERS, GAUGES
from dbre.lab.mariadb import MariaDbServer
from dbre.ports.statistics import MetricKind
from dbre.testing.monitoring_fixtures import require_tool

ALL = dashboards(["postgresql", "mysql", "redis", "oracle"])
SOURCE = Path(__file__).parents[2] / "src/dbre"
NAMED_ELSEWHERE = {"redis_db_keys", "redis_master_link_up", "redis_connected_slave_lag_seconds"}


def used(dashboard: Dashboard) -> set[str]:
    text = re.sub(r'"[^"]*"', "", " ".join(dashboard.expressions()))
    return set(re.findall(r"\b(?:dbre[_:]|pg_|mysql_|redis_|process_)[\w:]+", text))


def base(name: str) -> str:
    return re.sub(r"_(bucket|sum|count|total)$", "", name)


def own_metrics() -> set[str]:
    """What the code of dbre registers: families by their whole name, metrics of ``Metrics`` without the prefix."""
    found: set[str] = {"dbre_build_info", "process_resident_memory_bytes"}
    for path in SOURCE.rglob("*.py"):
        text = path.read_text()
        found |= set(re.findall(r'MetricFamily\(\s*"(dbre_\w+)"', text))
        found |= {f"dbre_{name}" for name in re.findall(r'metrics\.(?:counter|gauge|histogram)\(\s*"(\w+)"', text)}
    return found


def engine_metrics() -> set[str]:
    found = set(NAMED_ELSEWHERE)
    specs = COLLECTORS.values()
    for measure in (one for spec in specs for reading in spec.readings for one in reading.measures):
        found.add(f"{measure.name}_total" if measure.kind is MetricKind.COUNTER else measure.name)
    found |= {f"redis_{name}_total" for name in COUNTERS.values()} | {f"redis_{name}" for name in GAUGES.values()}
    return found


def compiled_records() -> set[str]:
    fleet = Fleet(clusters=(cluster(),))
    (file,), _ = rule_files(
        subjects_of([definition()], fleet), is_sloth=False, with_tests=False, probe_interval_ms=10_000, is_everything=True
    )
    return set(re.findall(r'record: "([^"]+)"', file.text))


@pytest.mark.parametrize("dashboard", ALL, ids=lambda one: one.id)
async def test_promtool_reads_every_expression(dashboard: Dashboard) -> None:
    require_tool("promtool")
    records = [Record(name=f"x:{index}", expression=text) for index, text in enumerate(dashboard.expressions())]
    assert len(records) >= 8
    text = rendered([Group(name="x", rules=records)], title=dashboard.title)
    assert "$" not in text.replace('"$cluster"', "").replace('"$instance"', "").replace('"$slo"', "").replace('\\"$', "")
    (finding,) = await check_files([WrittenFile(name="x.yml", kind="rules", text=text)])
    assert f"{len(records)} rules found" in finding.output


@pytest.mark.parametrize("dashboard", [one for one in ALL if one.id != "database-mysql"], ids=lambda one: one.id)
def test_every_metric_is_one_that_dbre_exports_or_records(dashboard: Dashboard) -> None:
    own, known = own_metrics(), engine_metrics() | compiled_records()
    unknown = {name for name in used(dashboard) if name not in known and base(name) not in own and name not in own}
    assert not unknown


async def test_every_metric_of_mysql_is_one_that_a_server_gives(mariadb: MariaDbServer) -> None:
    access = mariadb.access()
    login = {"user": access.user, "password": access.password.reveal(), "port": access.address.port}
    async with asyncmy.connect(host=access.address.host, **login) as connection, connection.cursor() as cursor:
        await cursor.execute("SHOW GLOBAL STATUS")
        found = [status_family(*row) for row in await cursor.fetchall()]
        await cursor.execute("SHOW GLOBAL VARIABLES")
        found += [variable_family(*row) for row in await cursor.fetchall()]
    given = {f"{one.name}_total" if one.kind is MetricKind.COUNTER else one.name for one in found if one is not None}
    (dashboard,) = (one for one in ALL if one.id == "database-mysql")
    assert used(dashboard) - given - own_metrics() == {"mysql_database_size_bytes"}  # read from the tables, not from the status


@pytest.mark.parametrize("dashboard", ALL, ids=lambda one: one.id)
def test_panels_have_numbers_of_their_own_and_do_not_overlap(dashboard: Dashboard) -> None:
    document = json.loads(dashboard.text)
    numbers = [panel["id"] for panel in document["panels"]]
    assert len(numbers) == len(set(numbers))
    assert "dashboard" not in document, "file provisioning wants the bare dashboard"
    assert document.get("id") is None
    for panel in document["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert panel["type"] == "row" or panel["targets"]
    for one, other in combinations([panel["gridPos"] for panel in document["panels"]], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below


def test_dashboards_are_the_same_each_time_and_have_addresses_of_their_own() -> None:
    again = dashboards(["redis", "mysql", "postgresql", "redis"])
    assert [one.text for one in again] == [one.text for one in ALL]
    assert len({one.uid for one in ALL}) == len(ALL) == 7
    for one in ALL:
        assert json.loads(one.text)["templating"]["list"][0]["type"] == "datasource"
