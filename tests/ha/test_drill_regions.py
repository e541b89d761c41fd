"""Drills of a lost site: what may be drilled so, and a lab of two sites that loses one."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from test_drills import dbre, drilled

from dbre.capabilities.ha.config_document import HaDocument
from dbre.capabilities.ha.drills.document import DrillKind
from dbre.capabilities.ha.drills.regions import is_one_site, promised_seconds, region_of
from dbre.core.errors import ExitCode, Unsupported, UsageError
from dbre.core.fleet import Cluster, TlsMode
from dbre.core.packets.commands import command
from dbre.lab import Lab
from dbre.testing.fixtures import leave_out

PLAN = {
    "sites": [{"name": "east", "instances": ["n1", "n3"]}, {"name": "west", "instances": ["n2", "n4"]}],
    "objectives": {"rpo": "10s", "rto": "2m"},
}

TWO_SITES = ("--replicas", "3", "--sites", "2", "--round-trip", "40ms")


def settings(**said: Any) -> HaDocument:
    return HaDocument.model_validate({"clusters": [{"cluster": "shop", **said}]})


def cluster(environment: str = "test") -> Cluster:
    return Cluster(
        name="shop",
        environment=environment,
        engine="postgresql",
        instances=(),
        endpoints=(),
        databases=(),
        user="dbre",
        password=None,
        tls=TlsMode.DISABLE,
        tls_ca_file=None,
    )


def test_a_region_is_the_site_of_the_primary_and_promises_what_its_plan_does() -> None:
    planned = settings(disaster=PLAN)
    assert region_of(planned, DrillKind.REGION_LOSS, cluster(), "n3") == ("n3", "n1")
    assert region_of(planned, DrillKind.LEADER_CRASH, cluster(), "n3") == ()
    assert promised_seconds(planned, DrillKind.REGION_LOSS, cluster()) == 120.0
    assert promised_seconds(planned, DrillKind.LEADER_CRASH, cluster()) is None
    said = planned.of("shop")
    assert is_one_site(said, DrillKind.REGION_LOSS, ("n2", "n4"))
    assert not is_one_site(said, DrillKind.REGION_LOSS, ("n1", "n2"))
    assert not is_one_site(said, DrillKind.LEADER_CRASH, ("n2", "n4"))


@pytest.mark.parametrize(
    ("said", "environment", "word"),
    [
        ({}, "test", "no plan says"),
        ({"disaster": PLAN, "patroni": {"urls": ["http://10.0.0.1:8008"]}}, "test", "is not killed with the site"),
        ({"disaster": PLAN}, "production", "more than one person"),
        ({"disaster": {**PLAN, "people": 2}}, "test", "more than one person"),
    ],
    ids=["no-plan", "patroni", "production", "people"],
)
def test_no_region_is_lost_where_nobody_could_lead_it_back(said: dict[str, Any], environment: str, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        region_of(settings(**said), DrillKind.REGION_LOSS, cluster(environment), "n1")


@asynccontextmanager
async def lab_started(name: str, directory: Path, *words: str) -> AsyncIterator[Lab]:
    """As a user starts one: servers whose parent is gone, so that a killed one leaves no zombie behind its lock file."""
    own = ("--name", name, "--directory", str(directory))
    nowhere = directory.with_suffix(".yaml")
    nowhere.write_text("{}\n")
    try:
        code, _, complaints = await dbre(nowhere, "lab", "up", *own, *words)
        assert code == ExitCode.OK, complaints
        yield Lab.open(name, directory)
    finally:
        await dbre(nowhere, "lab", "down", *own)


@pytest.fixture
def _may_make_networks() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes network namespaces")
    try:
        command("ip", "link")
    except Unsupported as error:
        leave_out(error)


@pytest.mark.usefixtures("_may_make_networks")
@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_a_site_is_lost_and_the_primary_goes_home(lab_site: Any) -> None:
    async with lab_started("drill-region", lab_site.directory / "drill-region", *TWO_SITES) as lab:
        run = await drilled(lab, "region-loss")
        assert run["by"] == "dbre"
        assert run["old_primary"] in ("drill-region-1", "drill-region-3")
        assert run["new_primary"] in ("drill-region-2", "drill-region-4")
        assert run["predicted_most_seconds"] == 60.0
        code, found, complaints = await dbre(lab.config_file, "ha", "dr", "list")
        assert [one["action"] for one in found["items"]] == ["failback", "failover"], complaints
        code, status, complaints = await dbre(lab.config_file, "ha", "status", lab.name)
        assert code == ExitCode.OK, complaints
        assert status["item"]["primary"] == "drill-region-1"
        assert [one["role"] for one in status["item"]["nodes"]].count("replica") == 3
        code, drills, complaints = await dbre(lab.config_file, "ha", "drill", "list")
        assert [(one["kind"], one["promised_seconds"]) for one in drills["items"]] == [("region-loss", 60.0)], complaints
