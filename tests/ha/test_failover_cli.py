"""Observers, their verdict, and the reasons for and against a failover, as a user asks for them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from failover_kit import CLOCK, fleet_with_control
from ha_live import Engines, until

from dbre.capabilities.ha.config_document import HA, HaDocument
from dbre.capabilities.ha.detection.cli import observe, verdict
from dbre.capabilities.ha.detection.tables import ha_report
from dbre.capabilities.ha.failover.cli import failover
from dbre.core.errors import ExitCode, UsageError
from dbre.core.fleet import UnknownCluster, UnknownInstance
from dbre.core.operation.act import Act
from dbre.core.store import Store, open_store
from dbre.core.view import View
from dbre.lab.redis import RedisServer
from dbre.lab.site import Site
from dbre.testing.fixtures import running


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 'state.db'}", clock=CLOCK, exclusive=True, migrate=True) as opened:
        yield opened


def runtime(fleet: Any, store: Store, **failover_: Any) -> Any:
    settings = HaDocument.model_validate({"clusters": [{"cluster": "shop", "failover": failover_}]})

    @asynccontextmanager
    async def opened() -> AsyncIterator[Store]:
        yield store

    config = SimpleNamespace(get=lambda section: settings if section is HA else section.default())
    return SimpleNamespace(obj=SimpleNamespace(fleet=fleet, engines=Engines(), clock=CLOCK, config=config, open_store=opened))


async def test_two_observers_and_a_dead_primary(redis_server: RedisServer, lab_site: Site, store: Store) -> None:
    async with (
        running(RedisServer("cli1", lab_site, program=redis_server.program)) as first,
        running(RedisServer("cli2", lab_site, program=redis_server.program, replica_of=first)) as second,
    ):
        fleet = fleet_with_control("redis", {"n1": first, "n2": second})
        here = runtime(fleet, store, observers=["a", "b"], max_loss="1MiB", stale="10s")
        tasks = [asyncio.create_task(observe(here, None, name=name, every="200ms", lasting=None)) for name in "ab"]
        found = await until(lambda: verdict(here, "shop"), lambda view: view.exit_code is ExitCode.OK)
        assert found.items[0]["primary"] == "n1"
        refused = await checked(here)
        assert refused.exit_code is ExitCode.FINDINGS
        assert {one["rule"] for one in refused.items if not one["is_met"]} == {
            "primary_silent",
            "observers_agree",
            "replicas_lost_it",
        }
        await first.kill()
        dead = await until(lambda: verdict(here, "shop"), lambda view: view.items[0]["action"] == "fail_over")
        assert dead.items[0]["verdicts"] == ["dead_primary"]
        assert "a: says reset; counts as reset" in dead.text
        assert (await checked(here)).exit_code is ExitCode.OK
        by_itself = await checked(here, automatic=True)
        assert [one["rule"] for one in by_itself.items if not one["is_met"]] == ["auto_allowed"]
        alone = await failover(
            runtime(fleet, store, observers=["x", "y"], max_loss="1MiB", stale="1s"), "shop", primary="n1", check=True
        )
        assert isinstance(alone, View)
        unmet = [(one["rule"], one["state"]) for one in alone.items if not one["is_met"] and one["rule"] != "loss"]
        assert unmet == [("observers_agree", "warn")]  # a person may go on, and is told all the same
        assert alone.exit_code is ExitCode.FINDINGS  # for the loss, which nobody knows
        strangers = runtime(fleet, store, observers=["x", "y"], stale="1s")
        warned = await failover(strangers, "shop", primary="n1", accept_loss=True, check=True)
        assert isinstance(warned, View)
        assert [(one["rule"], one["state"]) for one in warned.items if not one["is_met"]] == [("observers_agree", "warn")]
        assert warned.exit_code is ExitCode.OK
        for one in tasks:
            one.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def checked(here: Any, *, automatic: bool = False) -> View:
    found = await failover(here, "shop", check=True, automatic=automatic)
    assert isinstance(found, View)
    return found


async def test_what_cannot_be_asked_for(redis_server: RedisServer, store: Store) -> None:
    fleet = fleet_with_control("redis", {"n1": redis_server})
    here = runtime(fleet, store, observers=["dc1", "east"])
    with pytest.raises(UsageError, match="no observer of shop is named 'dc3'") as unknown:
        await observe(here, ["shop"], name="dc3")
    assert unknown.value.hint == "did you mean dc1?"
    with pytest.raises(UnknownCluster):
        await observe(here, ["shopp"], name="dc1")
    with pytest.raises(UsageError, match="has no observers"):
        await verdict(runtime(fleet, store), "shop")
    with pytest.raises(UsageError, match="--automatic is for --check"):
        await failover(here, "shop", automatic=True)
    with pytest.raises(UnknownInstance, match="no instance 'nq'"):
        await failover(here, "shop", primary="nq", check=True)
    with pytest.raises(UnknownInstance, match="no instance 'n9'"):
        await failover(here, "shop", to="n9", check=True)
    with pytest.raises(UsageError, match="cannot take over from itself"):
        await failover(here, "shop", to="n1", primary="n1", check=True)
    asked = await failover(here, "shop", to="n1")
    assert isinstance(asked, Act)
    assert asked.kind == "ha.failover"
    stranger = {"cluster": "shop", "observer": "dc1", "marker": "x", "document": {"of": "tomorrow"}, "written_at": CLOCK.now()}
    await store.insert_or_update(ha_report, [stranger], keys=["cluster", "observer"])
    told = await verdict(here, "shop")  # a report that nobody here can read is none
    assert told.items[0]["observers"][0]["note"] == "no report"
    short = await observe(here, None, name="dc1", every="100ms", lasting="1s")
    assert short.items[0]["rounds"] >= 1
